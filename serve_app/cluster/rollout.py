"""Progressive rollout: a canary gets more of a route's requests step by step, for as long as it keeps its limits.

A plan and what was seen come in, one decision after the other goes out: `decide` is pure, and `roll` obeys it through a
lever. The service's own guard aborts what is bad within seconds, by a test that noise does not trip; here a step is
held until its figures are in order. It knows neither HTTP nor Kubernetes, and keeps no state: where a rollout stands is
what weight the canary has.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from serve_app.routes import GuardLimits

PATIENCE = 4
"""A step whose figures are not in order after so many times its hold is given up."""
ENOUGH_FOR_P99 = 1_000
"""Of fewer requests the p99 is one of the ten slowest, and chance."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Percents of the requests, rising to 100, and how long each is held at least; raises ValueError for others."""

    steps: tuple[float, ...]
    hold_s: float
    limits: GuardLimits

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in zip(self.steps, self.steps[1:], strict=False))
        if not self.steps or not rising or self.steps[0] <= 0 or self.steps[-1] != 100:
            raise ValueError("steps rise from above 0 to 100, such as 1,5,25,50,100")

    def step_at(self, percent: float) -> int | None:
        """The step that a canary of this weight is on; None where it is on none."""
        return next((number for number, step in enumerate(self.steps) if abs(step - percent) < 0.01), None)


@dataclass(frozen=True, slots=True)
class Vitals:
    """What the canary and its baseline did since the last change of the route; None is not known."""

    percent: float
    """Of the requests, that the canary has."""
    requests: int = 0
    failures: int = 0
    p50_ms: float | None = None
    p99_ms: float | None = None
    baseline_error_rate: float = 0.0
    baseline_p50_ms: float | None = None
    baseline_p99_ms: float | None = None
    agreement: float | None = None
    """Mean Kendall's tau with the baseline's orders."""
    aborted_because: str | None = None
    """What the service said when it took the canary's weight."""

    @property
    def error_rate(self) -> float:
        """Of the canary, from 0 to 1."""
        return self.failures / self.requests if self.requests else 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """A route's canary, as whoever holds the route has it."""

    variant: str
    percent: float


@dataclass(frozen=True, slots=True)
class Hold:
    """Stay on this step."""

    because: str


@dataclass(frozen=True, slots=True)
class Advance:
    """Go on to this step."""

    step: int


@dataclass(frozen=True, slots=True)
class Promote:
    """The canary is the only lane from now on."""


@dataclass(frozen=True, slots=True)
class Abort:
    """The canary gets no more requests."""

    because: str


Decision = Hold | Advance | Promote | Abort


class Lever(Protocol):
    """What moves one canary of one route, wherever it is."""

    look_every_s: float
    """What is seen changes no sooner."""

    def look(self) -> Vitals:
        """What is to be seen now."""

    def move(self, percent: float) -> None:
        """Give the canary so much."""

    def promote(self) -> None:
        """Make it the only lane."""

    def abort(self) -> None:
        """Take its weight."""


def decide(plan: Plan, step: int, held_s: float, vitals: Vitals) -> Decision:
    """What to do on a step that has been held for so long."""
    if vitals.percent == 0 or vitals.aborted_because:
        return Abort(vitals.aborted_because or "its weight was taken by somebody else")
    if held_s < plan.hold_s:
        return Hold(f"{plan.hold_s - held_s:.0f} s of {plan.hold_s:.0f} s are left")
    if (trouble := _trouble(plan.limits, vitals)) is None:
        return Advance(step + 1) if step + 1 < len(plan.steps) else Promote()
    if held_s >= PATIENCE * plan.hold_s:
        return Abort(f"{trouble}, after {held_s:.0f} s at {plan.steps[step]:g} %")
    return Hold(trouble)


def roll(
    plan: Plan, lever: Lever, step: int, seen: Callable[[int, float, Vitals, Decision], None], clock: "Clock"
) -> Decision:
    """From this step to the end, which is Promote or Abort; `seen` is told of each look."""
    began = clock.now()
    while True:
        vitals = lever.look()
        decision = decide(plan, step, held_s := clock.now() - began, vitals)
        seen(step, held_s, vitals, decision)
        match decision:
            case Hold():
                clock.sleep(lever.look_every_s)
            case Advance(step):
                lever.move(plan.steps[step])
                began = clock.now()
            case Promote():
                lever.promote()
                return decision
            case Abort():
                if vitals.percent:
                    lever.abort()
                return decision


class Clock(Protocol):
    """Time as it passes."""

    def now(self) -> float:
        """Seconds since some moment."""

    def sleep(self, seconds: float) -> None:
        """Let so much pass."""


def _trouble(limits: GuardLimits, vitals: Vitals) -> str | None:
    """The first limit that the canary does not keep by what was seen."""
    if vitals.requests < limits.min_observations:
        return f"it has had {vitals.requests} of the {limits.min_observations} requests that a step needs"
    most = limits.max_error_rate
    if most is not None and vitals.error_rate > max(most, vitals.baseline_error_rate) + _chance(most, vitals.requests):
        return f"it fails {vitals.error_rate:.1%} of its requests, and {most:.1%} are allowed"
    pairs = ((vitals.p50_ms, vitals.baseline_p50_ms, "median"), (vitals.p99_ms, vitals.baseline_p99_ms, "p99"))
    ratio = limits.max_latency_ratio
    for own, baseline, name in pairs if vitals.requests >= ENOUGH_FOR_P99 else pairs[:1]:
        if ratio is not None and own is not None and baseline is not None and own > ratio * baseline:
            return f"its {name} is {own:.0f} ms, and {ratio:g} times the baseline's {baseline:.0f} ms are allowed"
    least = limits.min_agreement
    if least is not None and vitals.agreement is not None and vitals.agreement < least:
        return (
            f"its orders agree with the baseline's by {vitals.agreement:.2f} (Kendall's tau), and {least:g} is wanted"
        )
    return None


def _chance(rate: float, requests: int) -> float:
    """Two standard errors of a rate that is as it may be: with few requests a failure or two says nothing."""
    return 2 * math.sqrt(rate * (1 - rate) / requests)
