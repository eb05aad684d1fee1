"""When somebody is called, and what they do then: a PrometheusRule.

Nothing comes in; the rules go out, over metrics that Ray 2.60 and `serve_app/metrics.py` export. It knows no dashboard.
"""

from dataclasses import dataclass

from serve_app.cluster.objects import NAME, Object, Part, kubernetes_object
from serve_app.metrics import CANARIES_ABORTED, LEDGER_BEHIND_S, MEMORY_SPLITS

APPLICATION = f'application="{NAME}"'
SCORING = f'{APPLICATION},method="POST"'
"""Requests that score; those that ask for health, models or usage are quick and many."""
SLOW_MS = "500.0"
"""A bucket's bound, written as Ray writes it. A request that takes longer is a slow one."""
SLOW_ALLOWED = 0.01
"""Of answered requests, in 30 days: what the objective leaves to spend."""
FAILED = "5.."
_FAILING = 0.01
_QUEUE = 100
"""Slices of requests that wait for a replica of one variant."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule."""

    name: str
    expression: str
    minutes: int
    """How long it must have been so."""
    severity: str
    """`page` wakes somebody; `ticket` waits for the morning."""
    summary: str
    runbook: str
    """What to look at, and what to do."""


def slow_share(window: str) -> str:
    """The share of answered requests that were slow."""
    metric, answered = "ray_serve_http_request_latency_ms", f'{SCORING},status_code="200"'
    quick = f'sum(rate({metric}_bucket{{{answered},le="{SLOW_MS}"}}[{window}]))'
    return f"(1 - {quick} / sum(rate({metric}_count{{{answered}}}[{window}])))"


def answered_share(statuses: str, window: str) -> str:
    """The share of requests that were answered with such a status; 0, and not nothing, while there is none."""
    metric = "ray_serve_num_http_requests_total"
    such = f'(sum(rate({metric}{{{SCORING},status_code=~"{statuses}"}}[{window}])) or vector(0))'
    return f"({such} / sum(rate({metric}{{{SCORING}}}[{window}])))"


def _burn(factor: float, long: str, short: str) -> str:
    """The budget is spent `factor` times too fast, for long enough to matter and still now."""
    most = f"{factor * SLOW_ALLOWED:g}"
    return f"{slow_share(long)} > {most} and {slow_share(short)} > {most}"


def _nodes(state: str) -> str:
    return f'sum(autoscaler_{state}_nodes{{NodeType="{Part.SCORER.value}s"}})'


def _happened(metric: str, by: str, window: str) -> str:
    """Whether a counter has risen, or begun: `increase` does not see the first event, with which a series comes."""
    now, before = f"sum by ({by}) ({metric})", f"sum by ({by}) ({metric} offset {window})"
    return f"{now} > ({before} or {now} * 0)"


_QUEUED = f"sum by (deployment) (ray_serve_deployment_queued_queries{{{APPLICATION}}})"

ALERTS = (
    Alert(
        "RerankLatencyBurnsFast",
        _burn(14.4, "1h", "5m"),
        2,
        "page",
        f"Answers over {float(SLOW_MS):g} ms spend 2% of a month's budget in an hour.",
        "See the queues on the dashboard. One variant's: raise its max_replicas, or the V100s that there may be. All: "
        "more routers. None: look whether a GPU node throttles, or a client has begun to send long documents.",
    ),
    Alert(
        "RerankLatencyBurnsSlowly",
        _burn(6, "6h", "30m"),
        15,
        "ticket",
        f"Answers over {float(SLOW_MS):g} ms spend 5% of a month's budget in six hours.",
        "As for RerankLatencyBurnsFast. If traffic has grown for good, render the fleet with more V100s.",
    ),
    Alert(
        "RerankRequestsFail",
        f"{answered_share(FAILED, '5m')} > {_FAILING:g}",
        5,
        "page",
        "More than one request in a hundred is answered with a 5xx.",
        "kubectl -n rerank get pods, for restarts; then the router's log, where every line has a request id. After an "
        "upgrade: apply the previous image again.",
    ),
    Alert(
        "RerankQueueGrows",
        f"{_QUEUED} > {_QUEUE} and {_QUEUED} > {_QUEUED.replace('}', '} offset 5m')}",
        10,
        "page",
        "More and more waits for {{ $labels.deployment }}.",
        "Does it have its max_replicas? Then raise them. If not, replicas cannot start: see RerankGpuNodeMissing, and "
        "`ray status` in the head pod.",
    ),
    Alert(
        "RerankNoGpuNode",
        f"{_nodes('active')} < 1 or (absent(autoscaler_active_nodes) * 0)",
        10,
        "page",
        "No node scores, or Ray's head tells nothing of its nodes.",
        "kubectl -n rerank get pods -l rerank-part=scorer. Pending: the cloud has no V100, or the node pool is at its "
        "limit, or the taint is not nvidia.com/gpu. None: kubectl -n rerank logs -l rerank-part=head -c autoscaler.",
    ),
    Alert(
        "RerankGpuNodeMissing",
        f"{_nodes('pending')} > 0",
        20,
        "ticket",
        "A node that the autoscaler asked for has not come in twenty minutes.",
        "kubectl -n rerank describe pod of the pending one says why. The service goes on with what it has.",
    ),
    Alert(
        "RerankNotRunning",
        f"max(ray_serve_application_status{{{APPLICATION}}}) < 5",
        5,
        "page",
        "Ray Serve has the application as failed or unhealthy.",
        "kubectl -n rerank describe rayservice rerank: its applicationStatuses hold the message. A key file or a Redis "
        "password that cannot be read is a Secret that is missing.",
    ),
    Alert(
        "RerankGpuMemoryShort",
        _happened(f"ray_{MEMORY_SPLITS.name}", "variant", "1h"),
        0,
        "ticket",
        "The GPU had no memory for a batch of {{ $labels.variant }}, which was halved.",
        "Answers are right, and slower. Lower its token_budget or raise its gpu_share in the catalog.",
    ),
    Alert(
        "RerankCanaryAborted",
        _happened(f"ray_{CANARIES_ABORTED.name}", "route,variant,limit", "1h"),
        0,
        "ticket",
        "The canary {{ $labels.variant }} of {{ $labels.route }} lost its weight: {{ $labels.limit }}.",
        "Nobody else is hurt: the baseline answers. `rerank routes show` has the sentence with the figures, `rerank "
        "routes disagreements` what was ordered otherwise. Take its lane out, or try again with other limits.",
    ),
    Alert(
        "RerankUsageNotWritten",
        f"max(max_over_time(ray_{LEDGER_BEHIND_S.name}[2m])) > 60",
        5,
        "page",
        "Usage of more than a minute is in the routers' memory alone.",
        "Redis does not take it: kubectl -n rerank get pods -l rerank-part=redis, then its log. Requests are answered "
        "and counted; what a router has not written is lost when it dies, so restart none until it is written.",
    ),
)


def prometheus_rule() -> Object:
    """All of them as one object of the Prometheus operator."""
    groups = [{"name": NAME, "rules": [_rule(alert) for alert in ALERTS]}]
    return kubernetes_object("monitoring.coreos.com/v1", "PrometheusRule", NAME, {"spec": {"groups": groups}})


def _rule(alert: Alert) -> Object:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": f"{alert.minutes}m",
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook": alert.runbook},
    }
