"""Which request is sent when: a scenario and questions in; bodies, and for each due time one of them, out.

All is drawn before the clock starts. A request is a function of its number: without repeats numbers ascend and none
comes twice, with them numbers are drawn. Query and documents end with the number, so that no cache knows another's.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, exp, inf, log
from statistics import NormalDist
from typing import NamedTuple

from loadtest.questions import STAMP, Question, sized
from loadtest.scenario import Scenario, Spread, Workload
from loadtest.service import Body

BODIES = 100
"""At most so many are kept in memory, shared out over the sizes: 100 of 1,000 passages are 50 MB."""
STAMPS = 1_000_000
"""Different ones, in six digits."""


class Ask(NamedTuple):
    """One request that is to be sent."""

    due: float
    """Seconds since the run began."""
    body: int
    """Its place among the bodies."""
    stamp: int


@dataclass(frozen=True, slots=True)
class Plan:
    """All of a run."""

    seconds: float
    bodies: Sequence[Body]
    asks: Sequence[Ask]


def make_plan(
    scenario: Scenario, questions: Sequence[Question], write: Callable[[Question], bytes], first: int
) -> Plan:
    """Stamps count from `first`: another one each time, or the service knows the documents of the run before.

    Raises ValueError where nothing is due, or a trace is none.
    """
    workload, most = scenario.workload, scenario.most_seconds
    dues = list(scenario.arrivals.dues(most, workload.seed))
    if not dues:
        raise ValueError(f"no request of {scenario.name} is due: give it a higher rate or more seconds")
    numbers, size_of = _numbers(workload, len(dues)), _sizes(workload)
    sizes = [due.documents or size_of(number) for due, number in zip(dues, numbers, strict=True)]
    bodies, places = _bodies(Counter(sizes), questions, write)
    asks = [
        Ask(due.at, places[size][number % len(places[size])], (first + number) % STAMPS)
        for due, number, size in zip(dues, numbers, sizes, strict=True)
    ]
    return Plan(most if most < inf else dues[-1].at, bodies, asks)


def _numbers(workload: Workload, requests: int) -> Sequence[int]:
    if workload.repeats is None:
        return range(requests)
    ranks = range(workload.repeats.queries)
    weights = accumulate((rank + 1) ** -workload.repeats.exponent for rank in ranks)
    return random.Random(f"repeats {workload.seed}").choices(ranks, cum_weights=list(weights), k=requests)


def _sizes(workload: Workload) -> Callable[[int], int]:
    """Documents of the request with a number."""
    told = workload.documents
    if isinstance(told, int):
        return lambda _: told
    if isinstance(told, Spread):
        found, shares = _quantiles(told), [1.0] * BODIES
    else:
        found, shares = [portion.documents for portion in told], [portion.share for portion in told]
    up_to = list(accumulate(shares))
    return lambda number: random.Random(f"{workload.seed} {number}").choices(found, cum_weights=up_to)[0]


def _quantiles(spread: Spread) -> list[int]:
    """As many sizes as bodies, each as likely as another, instead of a body for every size that can be drawn."""
    normal = NormalDist(log(spread.median), log(spread.p95 / spread.median) / NormalDist().inv_cdf(0.95) or 1e-9)
    return [max(1, round(exp(normal.inv_cdf((place + 0.5) / BODIES)))) for place in range(BODIES)]


def _bodies(
    sizes: Mapping[int, int], questions: Sequence[Question], write: Callable[[Question], bytes]
) -> tuple[list[Body], Mapping[int, Sequence[int]]]:
    """Those of all sizes, and the places of each size's; a size has as many of them as its requests are frequent."""
    bodies: list[Body] = []
    places: dict[int, Sequence[int]] = {}
    requests = sum(sizes.values())
    for size, times in sizes.items():
        wanted = sized(questions, size)[: ceil(BODIES * times / requests)]
        places[size] = range(len(bodies), len(bodies) + len(wanted))
        bodies += [Body(write(_stamped(question)), size) for question in wanted]
    return bodies, places


def _stamped(question: Question) -> Question:
    return Question(question.query + STAMP, [document + STAMP for document in question.documents])
