"""How many replicas and V100s some traffic takes within a time: a variant, traffic and a p99 in, plans out.

The autoscaling policy says how many for how busy a replica may be; a simulated run says whether that is enough, and if
not it is asked again for less busy ones. Pure: what runs is simulated time. It knows no cluster and no price list.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from serve_app.autoscaling import Aim, Demand, Pacing, replicas_needed
from serve_app.catalog import TARGET_DOCUMENTS, Variant
from serve_app.cluster.replica import Kind
from serve_app.cluster.scaling import Rule, by_tokens
from serve_app.cluster.simulation import AROUND_S, TOKENS_PER_DOCUMENT, Fleet, Run
from serve_app.cluster.traffic import Request, steady

STARTS_IN_S = 60.0
"""A GPU node that is there, image pulled, to the first answer; a node that has to be made takes minutes more."""
UNBOUNDED = 10_000
BUSY_TRIED = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)
ENOUGH_REQUESTS = 20_000
"""That a run has at least: its p99 is then decided by 200 of them."""
MOST_SIMULATED = 200
"""Replicas of a larger fleet are simulated as a part of it: with a choice of two a replica's queue depends on its own
share of the traffic (of 10,000 simulated whole the p99 was the same within 1%)."""
MORE_TRAFFIC = (1.05, 1.1, 1.2, 1.3, 1.5, 2.0, 3.0)


@dataclass(frozen=True, slots=True)
class Wish:
    """Traffic, and how fast it is to be answered."""

    per_s: float
    documents: int
    p99_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """A fleet for a wish, where each replica has `share` of a V100 and gets no more of it."""

    share: float
    alone_s: float
    """What one request takes when nothing else is asked."""
    replicas: int | None
    """None where no number of them is enough."""
    v100s: int = 0
    busy: float = 0.0
    p50_s: float = 0.0
    p99_s: float = 0.0
    more_traffic: float = 1.0
    """So much more of it the same fleet answers in time, of MORE_TRAFFIC."""

    @property
    def more_is_least(self) -> bool:
        """Whether more was not tried."""
        return self.more_traffic == MORE_TRAFFIC[-1]


def plan_fleet(variant: Variant, wish: Wish, share: float) -> Plan:
    """The smallest fleet that the policy's arithmetic finds for it."""
    kind = kind_of(variant, share)
    alone_s = wish.documents * TOKENS_PER_DOCUMENT / kind.tokens_per_s + AROUND_S
    tried = 0
    for busy in BUSY_TRIED if alone_s <= wish.p99_s else ():
        replicas = _replicas(kind, wish, busy)
        run = _run(kind, wish, replicas) if replicas != tried else None
        tried = replicas
        if run is not None and percentile(run.took_s, 0.99) <= wish.p99_s:
            more = _more_traffic(kind, wish, replicas)
            p50_s, p99_s = percentile(run.took_s, 0.5), percentile(run.took_s, 0.99)
            own = wish.per_s * wish.documents * TOKENS_PER_DOCUMENT / (replicas * kind.tokens_per_s)
            return Plan(share, alone_s, replicas, v100s_of(replicas, share), own, p50_s, p99_s, more)
    return Plan(share, alone_s, None)


def replay(variant: Variant, requests: Sequence[Request], share: float, aim: Aim) -> Run:
    """The traffic of a trace, over replicas that the policy scales as it does in a cluster, with no bound above."""
    serving = variant.serving
    rule = Rule(by_tokens(aim), Pacing(), serving.idle_after_s, serving.min_replicas, UNBOUNDED)
    return Fleet(requests, kind_of(variant, share), rule).run(max(1, serving.min_replicas))


def kind_of(variant: Variant, share: float) -> Kind:
    """A replica with this share of a V100, by the published speed."""
    pace = variant.figures.docs_per_second_v100 * share * TOKENS_PER_DOCUMENT
    return Kind(pace, variant.serving.token_budget, STARTS_IN_S)


def v100s_of(replicas: int, share: float) -> int:
    """Whole ones: a replica is on one."""
    return math.ceil(replicas / math.floor(1 / share + 1e-9))


def late_share(run: Run, within_s: float) -> float:
    """Of the requests, those that took longer; one above TARGET_DOCUMENTS may as much as it has more."""
    late = sum(
        took_s > within_s * max(1.0, request.documents / TARGET_DOCUMENTS)
        for request, took_s in zip(run.requests, run.took_s, strict=True)
    )
    return late / len(run.requests)


def percentile(values: Sequence[float], part: float) -> float:
    """The value that so large a part of them is not above; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(part * len(ordered)) - 1)] if ordered else 0.0


def _replicas(kind: Kind, wish: Wish, busy: float) -> int:
    arriving = wish.per_s * wish.documents * TOKENS_PER_DOCUMENT
    demand = Demand(arriving, 0.0, wish.documents * TOKENS_PER_DOCUMENT, kind.tokens_per_s, 1.0)
    return replicas_needed(demand, Aim(wish.p99_s, busy), 0, 0).replicas


def _run(kind: Kind, wish: Wish, replicas: int) -> Run:
    part = min(1.0, MOST_SIMULATED / replicas)
    per_s = wish.per_s * part
    return Fleet(steady(per_s, wish.documents, ENOUGH_REQUESTS / per_s), kind, None).run(round(replicas * part))


def _more_traffic(kind: Kind, wish: Wish, replicas: int) -> float:
    more = 1.0
    for times in MORE_TRAFFIC:
        run = _run(kind, Wish(times * wish.per_s, wish.documents, wish.p99_s), replicas)
        if percentile(run.took_s, 0.99) > wish.p99_s:
            break
        more = times
    return more
