"""Three times of what each can do, from callers who give up after 15 s, and what is left of it afterwards."""

from dataclasses import dataclass

from loadtest.peers.comparison import Plan, closed
from loadtest.peers.field import Field
from loadtest.peers.generator import Measure, due_in, stage, steps
from loadtest.peers.server import Server
from loadtest.phases import percentile
from loadtest.samples import Run

LIGHT = 0.3
"""Of the capacity, before and after."""
HEAVY = 3.0
BEFORE_S = 30.0
HEAVY_S = 20.0
AFTER_S = 60.0
TIMEOUT_S = 15.0
AS_BEFORE = 2.0
"""A request is answered as before if it takes at most so many times the p99 of before."""


@dataclass(frozen=True, slots=True)
class Overloaded:
    """What came of it."""

    capacity: float
    """Requests a second, of closed loops."""
    sent: int
    """In the overload."""
    answered: int
    """Of these, before the callers gave up."""
    refused: int
    """With a status, instead of a ranking."""
    goodput: float
    """Answers a second that came while it lasted, of the capacity."""
    grown_bytes: int
    """Peak memory, beside that after the light load before."""
    peak_bytes: int
    recovered_s: float | None
    """From the end of the overload until light requests are answered as before; None if not within AFTER_S."""


def overload(everybody: Field, plan: Plan, measure: Measure) -> dict[str, Overloaded]:
    """Each once."""
    return everybody.turn(0, "overload", lambda server: _overload(server, plan, measure))


def _overload(server: Server, plan: Plan, measure: Measure) -> Overloaded:
    capacity = max(closed(server, plan, 2 * plan.seconds).values()) / plan.documents  # what all else is a multiple of
    stages = [("before", LIGHT, BEFORE_S), ("overload", HEAVY, HEAVY_S), ("after", LIGHT, AFTER_S)]
    before = server.bytes_now()
    run = measure(server, steps(stages, plan.documents, TIMEOUT_S, TIMEOUT_S * 1_000), capacity)
    server.bytes_now()
    return judged(run, capacity, before, server.peak_bytes)


def judged(run: Run, capacity: float, before: int, peak: int) -> Overloaded:
    """Of a run with the three stages; bytes before and at most."""
    heavy = due_in(run, "overload")
    began, ended = stage(run, "overload")
    came = sum(sample.failure is None and began <= sample.done < ended for sample in heavy)
    answered = sum(sample.failure is None for sample in heavy)
    return Overloaded(
        capacity=capacity,
        sent=len(heavy),
        answered=answered,
        refused=sum(sample.failure is not None and sample.status > 0 for sample in heavy),
        goodput=came / (ended - began) / capacity,
        grown_bytes=max(0, peak - before),
        peak_bytes=peak,
        recovered_s=recovered_s(run),
    )


def recovered_s(run: Run) -> float | None:
    """Until the last answer that took longer than before, or failed; None if the last request of all did."""
    usual = percentile([sample.latency_ms for sample in due_in(run, "before") if sample.failure is None], 99)
    following = sorted(due_in(run, "after"), key=lambda sample: sample.due)
    if usual is None or not following:
        return None
    _, ended = stage(run, "overload")
    slow = [each.failure is not None or each.latency_ms > AS_BEFORE * usual for each in following]
    if slow[-1]:
        return None
    last = max((place for place, is_slow in enumerate(slow) if is_slow), default=None)
    return 0.0 if last is None else following[last].done - ended
