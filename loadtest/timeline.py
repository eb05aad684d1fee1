"""A run second by second: samples in, a tick for each second out. A long run has longer ticks. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from loadtest.percentiles import percentiles
from loadtest.samples import Run, Sample

MOST_TICKS = 300
LENGTHS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_800)


@dataclass(frozen=True, slots=True)
class Tick:
    """What happened from `at` on, for as long as a tick lasts."""

    at: float
    """Seconds since the run began."""
    offered: float
    """Requests a second that were due."""
    answered: float
    """Answers a second that came."""
    documents: float
    """A second, in the answers that came."""
    p50_ms: float | None
    """Of the answered requests that were due; None where there are none."""
    p99_ms: float | None
    failures: Mapping[str, int]
    """Of the requests that were due."""
    failed_after_ms: float | None
    """Median, from when they were due."""
    late_ms: float | None
    """p99 of how long after it was due a request was sent."""


def tick_seconds(run: Run) -> int:
    """How long a tick lasts."""
    return next((length for length in LENGTHS_S if run.seconds <= MOST_TICKS * length), LENGTHS_S[-1])


def timeline(run: Run) -> list[Tick]:
    """As many as the run has seconds; what comes after its end is in none."""
    length = tick_seconds(run)
    count = max(1, -int(-run.seconds // length))
    due: list[list[Sample]] = [[] for _ in range(count)]
    came: list[list[Sample]] = [[] for _ in range(count)]
    for sample in run.samples:
        _put(sample, sample.due, due, length)
        if sample.failure is None:
            _put(sample, sample.done, came, length)
    return [_tick(place * length, length, due[place], came[place]) for place in range(count)]


def _put(sample: Sample, at: float, ticks: Sequence[list[Sample]], length: int) -> None:
    place = int(at // length)
    if 0 <= place < len(ticks):
        ticks[place].append(sample)


def _tick(at: float, length: int, due: Sequence[Sample], came: Sequence[Sample]) -> Tick:
    spread = percentiles(sample.latency_ms for sample in due if sample.failure is None)
    failed = percentiles(sample.latency_ms for sample in due if sample.failure is not None)
    late = percentiles((sample.sent - sample.due) * 1_000 for sample in due)
    return Tick(
        at=at,
        offered=len(due) / length,
        answered=len(came) / length,
        documents=sum(sample.documents for sample in came) / length,
        p50_ms=spread.p50 if spread else None,
        p99_ms=spread.p99 if spread else None,
        failures=dict(Counter(sample.failure for sample in due if sample.failure is not None).most_common()),
        failed_after_ms=failed.p50 if failed else None,
        late_ms=late.p99 if late else None,
    )
