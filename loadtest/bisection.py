"""The highest rate that a service holds: a probe in, tries out, and from them a rate with an interval. Pure.

A rate holds if no request of its try fails and the p99 is within a limit. Each repeat halves, by ratios, the range
between the highest rate that held and the lowest that did not. Repeats take turns, so that a machine that grows slower
is slower for all of them.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import mean, median, stdev

from loadtest.figures import figures
from loadtest.samples import Run
from loadtest.wording import warnings

Probe = Callable[[float, float, int], Run]
"""A run at so many requests a second, for so many seconds, with a seed for its arrivals; returns when all is answered,
so that a try leaves no queue to the next."""
STUDENT_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""Two-sided 95 % quantiles of Student's t (1908) for 1, 2, ... degrees of freedom."""
MOST_REPEATS = len(STUDENT_95) + 1


class LateGenerator(Exception):
    """A try whose generator was late, which says nothing of the service."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is searched, and how closely."""

    slo_ms: float
    """That the p99 has to stay within."""
    low: float
    high: float
    """Requests a second: the service should hold the low rate and not the high one."""
    resolution: float
    """A repeat ends when what did not hold is at most so many times what held."""
    repeats: int
    seconds: float
    """Of a try, at least: a rate that is a little too high needs time until its queue is too long."""
    requests: int
    """Of a try, at least: p99 of 500 is the sixth slowest, of 50 it would be the slowest."""
    seed: int

    def seconds_at(self, rate: float) -> float:
        """How long a try takes."""
        return max(self.seconds, self.requests / rate)


@dataclass(frozen=True, slots=True)
class Try:
    """One rate, tried once."""

    repeat: int
    """From 1."""
    rate: float
    seconds: float
    requests: int
    p99_ms: float | None
    failed: int
    held: bool


@dataclass(frozen=True, slots=True)
class Bracket:
    """Where the answer of one repeat lies; None where no try bounds it."""

    held: float | None = None
    exceeded: float | None = None


@dataclass(frozen=True, slots=True)
class Saturation:
    """The highest rate that a service holds, in requests a second."""

    rate: float
    """Median of the highest rates that held, one a repeat."""
    low: float
    high: float
    """95 % confidence interval."""


def search(probe: Probe, plan: Plan) -> Iterator[Try]:
    """Each try when it is over. Raises LateGenerator."""
    brackets = {repeat: Bracket() for repeat in range(1, plan.repeats + 1)}
    while open_repeats := [repeat for repeat, bracket in brackets.items() if not _is_closed(bracket, plan)]:
        for repeat in open_repeats:
            tried = _try(probe, plan, repeat, _between(brackets[repeat], plan))
            brackets[repeat] = _narrowed(brackets[repeat], tried)
            yield tried


def saturation(tries: Sequence[Try], plan: Plan) -> Saturation:
    """Median and interval of the repeats; raises ValueError with a sentence where the range was no range around it.

    The interval is Student's t interval for the mean of the logarithms, since rates differ by ratios: its low end from
    the rates that held, its high end from those that did not, so that it is never narrower than what was searched.
    """
    brackets: dict[int, Bracket] = {}
    for tried in tries:
        brackets[tried.repeat] = _narrowed(brackets.get(tried.repeat, Bracket()), tried)
    held = [bracket.held for bracket in brackets.values() if bracket.held is not None]
    exceeded = [bracket.exceeded for bracket in brackets.values() if bracket.exceeded is not None]
    if len(held) < len(brackets) or not brackets:
        raise ValueError(f"the service does not hold {plan.low:g} requests/s: search from a lower rate, with --from")
    if len(exceeded) < len(brackets):
        raise ValueError(f"the service holds {plan.high:g} requests/s: search to a higher rate, with --to")
    return Saturation(median(held), _end(held, -1), _end(exceeded, 1))


def _end(rates: Sequence[float], side: int) -> float:
    logs = [math.log(rate) for rate in rates]
    margin = STUDENT_95[len(logs) - 2] * stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else 0.0
    return math.exp(mean(logs) + side * margin)


def _try(probe: Probe, plan: Plan, repeat: int, rate: float) -> Try:
    seconds = plan.seconds_at(rate)
    found = figures(probe(rate, seconds, plan.seed + repeat))
    if found.generator.late:
        raise LateGenerator(
            f"stopped at {rate:.3g} requests/s, which says nothing of the service: {warnings(found)[0]}"
        )
    p99_ms = found.whole.latency.p99 if found.whole.latency else None
    held = not found.whole.failed and p99_ms is not None and p99_ms <= plan.slo_ms
    return Try(repeat, rate, seconds, found.whole.requests, p99_ms, found.whole.failed, held)


def _is_closed(bracket: Bracket, plan: Plan) -> bool:
    held, exceeded = bracket.held or plan.low, bracket.exceeded or plan.high
    if exceeded / held > plan.resolution:
        return False
    # An end of the range that the search ran into was not tried yet.
    return (bracket.held is not None or exceeded <= plan.low) and (bracket.exceeded is not None or held >= plan.high)


def _between(bracket: Bracket, plan: Plan) -> float:
    held, exceeded = bracket.held or plan.low, bracket.exceeded or plan.high
    if exceeded / held > plan.resolution:
        return math.sqrt(held * exceeded)
    return plan.low if bracket.held is None else plan.high


def _narrowed(bracket: Bracket, tried: Try) -> Bracket:
    return Bracket(tried.rate, bracket.exceeded) if tried.held else Bracket(bracket.held, tried.rate)
