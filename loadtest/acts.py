"""The acts of a story in which an operator moves traffic: what is changed, what callers got of it, as a table."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.table import Table

from loadtest.callers import Kept
from loadtest.phases import percentile
from loadtest.service import failures

HEADINGS = ("act", "s", "requests", "failed", "p50 ms", "p99 ms", "aborted after s", "settled after s", "answered by")
Lane = Mapping[str, Any]


class Operator(Protocol):
    """Changes one route."""

    async def put(self, *lanes: Lane) -> None:
        """These lanes from now on."""

    async def undo(self) -> None:
        """The last change taken back."""


@dataclass(frozen=True, slots=True)
class Story:
    """Who plays which part, by the names of variants, and how long each act lasts."""

    baseline: str
    candidate: str
    bad: Sequence[str]
    hold_s: float
    percent: float
    """Of the bad canaries."""


@dataclass(frozen=True, slots=True)
class Change:
    """What begins an act."""

    name: str
    make: Callable[[], Awaitable[None]]
    gone: Collection[str] = ()
    """Variants that have no weight from then on."""
    canary: str | None = None
    """What the service should stop by itself."""


@dataclass(slots=True)
class Act:
    """One change of the route, and what came of it."""

    name: str
    began: float
    seconds: float
    aborted_after_s: float | None = None
    """From the change until the service had taken the canary's weight."""
    settled_after_s: float | None = None
    """From the change until the last request was asked that a lane without weight answered; None if there was none."""
    requests: int = 0
    failures: Mapping[str, int] = field(default_factory=dict)
    models: Mapping[str, int] = field(default_factory=dict)
    p50_ms: float | None = None
    p99_ms: float | None = None

    def see(self, answers: Sequence[Kept], gone: Collection[str]) -> None:
        """What callers got who asked in this act; `gone` are the models that had no weight any more."""
        own = [each for each in answers if self.began <= each.asked < self.began + self.seconds]
        latencies = [each.latency_ms for each in own if each.failure is None]
        self.requests, self.failures = len(own), failures(own)
        self.models = dict(Counter(each.model for each in own if each.model).most_common())
        self.p50_ms, self.p99_ms = percentile(latencies, 50), percentile(latencies, 99)
        self.settled_after_s = max((each.asked - self.began for each in own if each.model in gone), default=None)


def changes(operator: Operator, story: Story) -> list[Change]:
    """A canary that becomes the only lane, canaries that have to be stopped, a change that is taken back."""
    old, new = story.baseline, story.candidate

    def lanes(*given: Lane) -> Callable[[], Awaitable[None]]:
        return lambda: operator.put(*given)

    return [
        Change("baseline alone", lanes(lane(old, 100)), {new, *story.bad}),
        *(Change(f"canary at {p} %", lanes(lane(old, 100 - p), lane(new, p, {}))) for p in (5, 25, 50)),
        Change("promoted", lanes(lane(new, 100)), {old}),
        *(
            Change(f"bad: {name}", lanes(lane(new, 100 - story.percent), lane(name, story.percent, {})), {old}, name)
            for name in story.bad
        ),
        Change("back to the baseline", lanes(lane(old, 100)), {new, *story.bad}),
        Change("undone", operator.undo, {old}),
    ]


def lane(variant: str, weight: float, guard: Lane | None = None) -> Lane:
    """A lane as the service takes it."""
    return {"variant": variant, "weight": weight, "guard": guard}


def table(acts: Sequence[Act]) -> Table:
    """A row an act."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for heading in HEADINGS:
        shown.add_column(heading, justify="left" if heading in {"act", "answered by"} else "right")
    for act in acts:
        failed = ", ".join(f"{count} x {failure}" for failure, count in act.failures.items()) or "0"
        by = ", ".join(f"{model.rpartition('/')[2]} {count}" for model, count in act.models.items())
        figures = ((act.p50_ms, 0), (act.p99_ms, 0), (act.aborted_after_s, 1), (act.settled_after_s, 1))
        cells = ("" if figure is None else f"{figure:,.{places}f}" for figure, places in figures)
        shown.add_row(act.name, f"{act.seconds:.0f}", str(act.requests), failed, *cells, by)
    return shown
