"""A rollout at a terminal: its plan from options, where it begins, and a table of what is seen.

A lever comes in; what it is a lever of is not known here.
"""

import re
import time
from typing import Annotated, Protocol

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from serve_app.cluster.rollout import Abort, Decision, Hold, Lever, Plan, Standing, Vitals, roll
from serve_app.errors import ConfigurationError, RerankError
from serve_app.routes import GuardLimits

Steps = Annotated[str, typer.Option(metavar="P,P,100", help="Percents of the requests, rising.")]
HoldTime = Annotated[str, typer.Option(metavar="TIME", help="Each step, at least: 30s, 5m, 1h.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the weight that the canary has.")]
INTERRUPTED = 130
_SECONDS = {"s": 1, "m": 60, "h": 3_600}


class _WallClock:
    def now(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


class RouteLever(Lever, Protocol):
    """A lever that says what it is of."""

    route: str
    variant: str
    """The canary's short name."""

    def standing(self) -> Standing | None:
        """The canary that the route has, whichever it is."""


class NotRolledOut(RerankError):
    """The canary lost its weight."""


def roll_out(plan: Plan, lever: RouteLever, *, resume: bool, commands: str) -> None:
    """From the first step, or the one that the canary is on, to the end; raises NotRolledOut.

    `commands` is how the group of commands is called of which one is `abort`.
    """
    first = _first_step(plan, lever, commands, resume=resume)
    console = Console()
    try:
        with Live(console=console, refresh_per_second=4) as live:
            ended = roll(plan, lever, first, lambda *seen: live.update(_shown(plan, *seen)), _WallClock())
    except KeyboardInterrupt:
        told = f"{lever.variant} stays the canary of {lever.route}; the same command with --resume goes on"
        console.print(f"interrupted: {told}")
        raise typer.Exit(INTERRUPTED) from None
    if isinstance(ended, Abort):
        raise NotRolledOut(f"{lever.variant} was not rolled out: {ended.because}")


def plan_of(steps: str, hold: str, limits: GuardLimits) -> Plan:
    """Raises ConfigurationError that names the option."""
    try:
        return Plan(tuple(float(step) for step in steps.split(",")), _seconds(hold), limits)
    except ValueError as error:
        why = "it takes numbers with commas between them" if "convert" in str(error) else str(error)
        raise ConfigurationError(f"--steps {steps!r}: {why}") from None


def _first_step(plan: Plan, lever: RouteLever, commands: str, *, resume: bool) -> int:
    """The step to begin with, which the canary then is on."""
    standing = lever.standing()
    if not resume:
        if standing is not None and standing.percent:
            raise ConfigurationError(
                f"{lever.route} has the canary {standing.variant} at {standing.percent:g} % already: "
                f"go on with --resume, or end it with `{commands} abort`"
            )
        lever.move(plan.steps[0])
        return 0
    if standing is None or standing.variant != lever.variant or not standing.percent:
        raise ConfigurationError(f"{lever.variant} is no canary of {lever.route} that has a weight: leave --resume out")
    if (step := plan.step_at(standing.percent)) is None:
        raise ConfigurationError(
            f"the canary is at {standing.percent:g} %, which is none of the steps: name it in --steps"
        )
    return step


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    if found is None:
        raise ConfigurationError(f"--hold {text!r} is no time: it looks like 30s, 5m or 1h")
    return float(found[1]) * _SECONDS[found[2]]


def _shown(plan: Plan, step: int, held_s: float, vitals: Vitals, decision: Decision) -> Group:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("step", "held", "requests", "failed", "p50 ms", "p99 ms", "agreement"):
        table.add_column(heading, justify="right")
    for number, percent in enumerate(plan.steps):
        if number < step:
            table.add_row(f"{percent:g} %", "done")
        elif number > step:
            table.add_row(f"[dim]{percent:g} %[/dim]")
        else:
            table.add_row(f"[bold]{percent:g} %[/bold]", f"{held_s:.0f} s", *_cells(vitals))
    because = decision.because if isinstance(decision, Hold | Abort) else ""
    return Group(table, escape(because))


def _cells(vitals: Vitals) -> tuple[str, ...]:
    def beside(own: float | None, baseline: float | None) -> str:
        return "" if own is None else f"{own:.0f}" + ("" if baseline is None else f" ({baseline:.0f})")

    return (
        f"{vitals.requests:,}",
        f"{vitals.error_rate:.1%} ({vitals.baseline_error_rate:.1%})",
        beside(vitals.p50_ms, vitals.baseline_p50_ms),
        beside(vitals.p99_ms, vitals.baseline_p99_ms),
        "" if vitals.agreement is None else f"{vitals.agreement:.2f}",
    )
