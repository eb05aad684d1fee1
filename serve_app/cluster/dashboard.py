"""The Grafana dashboard: panels, two a row, over the metrics that alerts watch and those that explain them.

Nothing comes in; a ConfigMap goes out that Grafana's sidecar picks up, with the dashboard as JSON in it. It knows
nothing of Grafana's data sources: the dashboard asks for one.
"""

import json
from dataclasses import dataclass
from typing import Any

from serve_app.cluster.alerts import APPLICATION, FAILED, SCORING, answered_share, slow_share
from serve_app.cluster.objects import NAME, Object, kubernetes_object
from serve_app.metrics import (
    AGREEMENT_FIRST,
    AGREEMENT_SAME_WAY,
    ANSWER_MS,
    ANSWERS,
    LEDGER_BEHIND_S,
    TOKEN_CACHE_HITS,
    TOKEN_CACHE_MISSES,
)

_WIDTH, _HEIGHT, _IN_A_ROW = 12, 8, 2
_HITS, _MISSES = f"ray_{TOKEN_CACHE_HITS.name}", f"ray_{TOKEN_CACHE_MISSES.name}"
_ANSWERS, _ANSWER_MS = f"ray_{ANSWERS.name}", f"ray_{ANSWER_MS.name}_bucket"
_AGREED, _COMPARED = (
    f"sum by (route, variant, other) (rate(ray_{metric.name}[15m]))" for metric in (AGREEMENT_SAME_WAY, AGREEMENT_FIRST)
)
_LANE = "{{route}}: {{variant}}"
_LATENCY = f"ray_serve_http_request_latency_ms_bucket{{{SCORING}}}"
_ROUTED = f'ray_serve_deployment_request_counter_total{{{APPLICATION},deployment="router",route=~".*(rank|score).*"}}'
"""HAProxy counts by application, not by path; the paths of whatever scores."""
_PROCESSING = f"ray_serve_deployment_processing_latency_ms_bucket{{{APPLICATION}}}"


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph; each line is an expression and its legend."""

    title: str
    unit: str
    """By Grafana's names."""
    lines: tuple[tuple[str, str], ...]
    least: float = 0.0
    """Where the axis begins."""


def _quantile(share: float, buckets: str, by: str = "") -> str:
    return f"histogram_quantile({share:g}, sum by (le{by}) (rate({buckets}[5m])))"


PANELS = (
    Panel(
        "Requests",
        "reqps",
        ((f"sum by (route) (rate({_ROUTED}[5m]))", "{{route}}"),),
    ),
    Panel("Latency", "ms", tuple((_quantile(share, _LATENCY), f"p{100 * share:g}") for share in (0.5, 0.95, 0.99))),
    Panel("Slow answers", "percentunit", ((slow_share("5m"), "5 minutes"), (slow_share("6h"), "6 hours"))),
    Panel(
        "Failures",
        "percentunit",
        ((answered_share(FAILED, "5m"), "5xx"), (answered_share("429", "5m"), "429")),
    ),
    Panel(
        "Waiting for a replica",
        "short",
        ((f"sum by (deployment) (ray_serve_deployment_queued_queries{{{APPLICATION}}})", "{{deployment}}"),),
    ),
    Panel("Time in a replica, p95", "ms", ((_quantile(0.95, _PROCESSING, ", deployment"), "{{deployment}}"),)),
    Panel(
        "Healthy replicas",
        "short",
        ((f"sum by (deployment) (ray_serve_deployment_replica_healthy{{{APPLICATION}}})", "{{deployment}}"),),
    ),
    Panel(
        "Nodes",
        "short",
        (
            ("sum by (NodeType) (autoscaler_active_nodes)", "{{NodeType}}"),
            ("sum by (NodeType) (autoscaler_pending_nodes)", "{{NodeType}}, on its way"),
        ),
    ),
    Panel("GPU utilisation", "percent", (("avg by (pod) (ray_node_gpus_utilization)", "{{pod}}"),)),
    Panel("GPU memory", "decmbytes", (("sum by (pod) (ray_node_gram_used)", "{{pod}}"),)),
    Panel(
        "Documents whose tokens were known",
        "percentunit",
        (
            (
                f"sum by (variant) (rate({_HITS}[5m])) / "
                f"(sum by (variant) (rate({_HITS}[5m])) + sum by (variant) (rate({_MISSES}[5m])))",
                "{{variant}}",
            ),
        ),
    ),
    Panel("Answers by route and lane", "reqps", ((f"sum by (route, variant) (rate({_ANSWERS}[5m]))", _LANE),)),
    Panel("p99 by route and lane", "ms", ((_quantile(0.99, _ANSWER_MS, ", route, variant"), _LANE),)),
    Panel(
        "Agreement with shadows and baselines (Kendall's tau)",
        "short",
        ((f"2 * ({_AGREED} or 0 * {_COMPARED}) / {_COMPARED} - 1", "{{route}}: {{variant}}, {{other}}"),),
        least=-1.0,
    ),
    Panel("Usage that is not written", "s", ((f"max(ray_{LEDGER_BEHIND_S.name})", "the oldest"),)),
    Panel("Memory of a node", "bytes", (("sum by (pod) (ray_node_mem_used)", "{{pod}}"),)),
)


def dashboard() -> dict[str, Any]:
    """What Grafana imports."""
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "uid": NAME,
        "title": "Reranker",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(index, panel, source) for index, panel in enumerate(PANELS)],
    }


def dashboard_config() -> Object:
    """The ConfigMap; `grafana_dashboard` is what the sidecar of Grafana's chart looks for."""
    text = json.dumps(dashboard(), indent=1) + "\n"
    made = kubernetes_object("v1", "ConfigMap", f"{NAME}-dashboard", {"data": {f"{NAME}.json": text}})
    made["metadata"]["labels"]["grafana_dashboard"] = "1"
    return made


def _panel(index: int, panel: Panel, source: Object) -> Object:
    row, column = divmod(index, _IN_A_ROW)
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": source,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": panel.least}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + place), "expr": expression, "legendFormat": legend}
            for place, (expression, legend) in enumerate(panel.lines)
        ],
    }
