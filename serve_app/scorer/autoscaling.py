"""The autoscaling policy that Ray calls: what Serve knows of a deployment comes in, a number of replicas goes out.

It reads, asks `serve_app/autoscaling.py`, logs and counts; Ray applies bounds, delays and factors to what it answers
(ray 2.60.0, `autoscaling_policy.py`). It runs in Serve's controller, ten times a second, and knows no model: that
process has no torch. Ray wakes a variant without a replica by itself, before it asks: the first request starts one.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ray.util.metrics import Counter, Gauge

from serve_app import metrics
from serve_app.autoscaling import Aim, Demand, Need, replicas_needed
from serve_app.scorer.demand import ReplicaDemand, variant_demand

FULL = 0.8
"""Part of the places in a replica that are taken when requests find none: they are spread over replicas by chance."""
_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the controller's log


class _Sample(Protocol):
    @property
    def value(self) -> float: ...


class Context(Protocol):
    """What the policy reads of Ray's AutoscalingContext."""

    deployment_name: str
    current_num_replicas: int
    target_num_replicas: int

    @property
    def raw_metrics(self) -> Mapping[str, Mapping[Any, Sequence[_Sample]]] | None:
        """The figures that each running replica has reported within the look-back, by their names."""

    @property
    def total_num_requests(self) -> float:
        """At replicas and on the way to them."""

    @property
    def total_queued_requests(self) -> float:
        """Before all replicas, which have no place."""


class TokenPolicy:
    """One a deployment; Ray makes it anew when the deployment is deployed again."""

    def __init__(self, latency_target_ms: float, requests_in_replica: int) -> None:
        """`requests_in_replica`: so many one replica holds at once."""
        self._aim = Aim(latency_target_ms / 1_000)
        self._places = requests_in_replica
        self._pace = 0.0
        """The last one known: replicas that replace all others have yet to show theirs."""
        self._told: tuple[int, str] | None = None
        self._meters = _Meters()

    def __call__(self, ctx: Context) -> tuple[int, dict[str, Any]]:
        """The replicas that there should be; Ray keeps no state for it."""
        reports = _reports(ctx)
        if ctx.current_num_replicas and not reports:
            return ctx.target_num_replicas, {}  # up, and has not reported yet: what it sees is not known
        demand = variant_demand(reports, ctx.total_queued_requests, ctx.total_num_requests, self._pace)
        self._pace = demand.tokens_per_s or 0.0
        need = self._need(demand, ctx)
        self._tell(ctx, demand, need)
        return need.replicas, {}

    def _need(self, demand: Demand, ctx: Context) -> Need:
        running, target, queued = ctx.current_num_replicas, ctx.target_num_replicas, ctx.total_queued_requests
        need = replicas_needed(demand, self._aim, running, target)
        # That some wait is not enough: Ray's figures are means, and a variant that has just woken had all of them wait.
        full = running and queued >= 1 and demand.requests - queued >= FULL * running * self._places
        if full and need.replicas <= running:
            # Very small requests: the devices are not what takes the time.
            return Need(max(target, running + 1), "backlog", f"{queued:.0f} requests find no place in a replica")
        return need

    def _tell(self, ctx: Context, demand: Demand, need: Need) -> None:
        """Once a decision, and not ten times a second."""
        name = ctx.deployment_name
        self._meters.show(name, demand, need)
        said = (need.replicas, need.reason)
        if said == self._told:
            return
        self._told = said
        if need.replicas != ctx.target_num_replicas:
            self._meters.count(name, need)
            now = f"{ctx.current_num_replicas} of {ctx.target_num_replicas} run"
            _log.info("%s needs %d replicas (%s): %s; %s", name, need.replicas, need.reason, need.because, now)


class _Meters:
    """What Prometheus is told."""

    def __init__(self) -> None:
        gauges = (metrics.NEEDED_REPLICAS, metrics.ARRIVING_TOKENS, metrics.WAITING_TOKENS, metrics.REPLICA_PACE)
        self._gauges = [Gauge(each.name, each.help, each.tags) for each in gauges]
        decisions = metrics.SCALING_DECISIONS
        self._decisions = Counter(decisions.name, decisions.help, decisions.tags)

    def show(self, variant: str, demand: Demand, need: Need) -> None:
        pace = demand.tokens_per_s or 0.0
        values = (need.replicas, demand.arriving_tokens_per_s, demand.waiting_tokens, pace)
        for gauge, value in zip(self._gauges, values, strict=True):
            gauge.set(value, {"variant": variant})

    def count(self, variant: str, need: Need) -> None:
        self._decisions.inc(1, {"variant": variant, "reason": need.reason})


def _reports(ctx: Context) -> list[ReplicaDemand]:
    """The newest report of each replica. Ray's own aggregate is a mean over the look-back, as old as half of it."""
    newest: dict[Any, dict[str, float]] = {}
    for name, replicas in (ctx.raw_metrics or {}).items():
        for replica, series in replicas.items():
            if series:
                newest.setdefault(replica, {})[name] = series[-1].value
    return [ReplicaDemand.of(figures) for figures in newest.values()]
