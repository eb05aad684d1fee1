import json
from pathlib import Path

import pytest

from serve_app.cluster.alerts import ALERTS, prometheus_rule
from serve_app.cluster.dashboard import dashboard, dashboard_config
from serve_app.cluster.fleet import Fleet
from serve_app.cluster.monitoring import pod_monitor
from serve_app.cluster.objects import Object
from serve_app.cluster.rayservice import rayservice
from tests.cluster.fleets import EVERY_FLEET, EVERY_NAME, make_fleet, pods_of_fleet
from tests.cluster.prometheus import check_expressions, check_rules, run_rules
from tests.cluster.ray_metrics import exported, metrics_of

RULES: Object = prometheus_rule()["spec"]
ANSWERS = 'ray_serve_http_request_latency_ms_%s{application="rerank",method="POST",status_code="200"%s}'
REQUESTS = 'ray_serve_num_http_requests_total{application="rerank",method="POST",status_code="%d"}'
QUEUED = 'ray_serve_deployment_queued_queries{application="rerank",deployment="minilm-l12",actor_id="%s"}'
NODES = 'autoscaler_%s_nodes{NodeType="%s"}'
ABORTED = 'ray_rerank_canaries_aborted_total{route="search",variant="new",limit="errors"}'
QUIET = {
    NODES % ("active", "scorers"): "1x60",
    NODES % ("pending", "scorers"): "0x60",
    'ray_serve_application_status{application="rerank"}': "6x60",
    REQUESTS % 200: "0+600x60",
    ANSWERS % ("count", ""): "0+600x60",
    ANSWERS % ("bucket", ',le="500.0"'): "0+600x60",
}
TROUBLE = [
    ({}, set()),
    ({ANSWERS % ("bucket", ',le="500.0"'): "0+480x60"}, {"RerankLatencyBurnsFast", "RerankLatencyBurnsSlowly"}),
    ({ANSWERS % ("bucket", ',le="500.0"'): "0+540x60"}, {"RerankLatencyBurnsSlowly"}),
    ({ANSWERS % ("bucket", ',le="500.0"'): "0+597x60"}, set()),
    ({REQUESTS % 503: "0+12x60"}, {"RerankRequestsFail"}),
    ({REQUESTS % 429: "0+300x60", REQUESTS % 503: "0+3x60"}, set()),
    ({QUEUED % "a": "0+10x60", QUEUED % "b": "0+5x60"}, {"RerankQueueGrows"}),
    ({QUEUED % "a": "500x60"}, set()),
    ({NODES % ("active", "scorers"): "0x60"}, {"RerankNoGpuNode"}),
    ({NODES % ("active", "scorers"): "_x60"}, {"RerankNoGpuNode"}),
    ({NODES % ("pending", "scorers"): "1x60"}, {"RerankGpuNodeMissing"}),
    ({NODES % ("pending", "scorers"): "1x10 0x50"}, set()),
    ({'ray_serve_application_status{application="rerank"}': "2x60"}, {"RerankNotRunning"}),
    ({'ray_rerank_memory_splits_total{variant="minilm-l12"}': "0+1x60"}, {"RerankGpuMemoryShort"}),
    ({ABORTED: "_x30 1x30"}, {"RerankCanaryAborted"}),
    ({'ray_rerank_ledger_behind_seconds{actor_id="a"}': "5x30 0+60x30"}, {"RerankUsageNotWritten"}),
    ({'ray_rerank_ledger_behind_seconds{actor_id="a"}': "5x60"}, set()),
]


@pytest.mark.parametrize(("changes", "fired"), TROUBLE, ids=[str(number) for number in range(len(TROUBLE))])
def test_each_alert_fires_for_its_own_trouble_alone(changes: dict[str, str], fired: set[str], tmp_path: Path) -> None:
    series = [{"series": name, "values": values} for name, values in {**QUIET, **changes}.items()]
    names = {rule["alert"] for rule in RULES["groups"][0]["rules"]}
    fires = "count by (alertname) (ALERTS{alertstate='firing'})"
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(fired)]
    test = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [{"expr": fires, "eval_time": "50m", "exp_samples": samples}],
    }
    assert fired <= names
    assert run_rules(tmp_path, RULES, [test]) == ""


def test_prometheus_reads_the_rules(tmp_path: Path) -> None:
    assert check_rules(tmp_path, RULES) == ""


def test_prometheus_would_not_read_others(tmp_path: Path) -> None:
    broken = {"groups": [{"name": "rerank", "rules": [{"alert": "Broken", "expr": "sum(rate(up[5m])"}]}]}
    assert "unclosed left parenthesis" in check_rules(tmp_path, broken)


def test_prometheus_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    assert check_expressions(tmp_path, _queries()) == ""
    assert check_expressions(tmp_path, [*_queries(), "sum by (le (up)"])


@pytest.mark.parametrize("expression", [alert.expression for alert in ALERTS], ids=[alert.name for alert in ALERTS])
def test_alerts_read_metrics_that_exist(expression: str) -> None:
    assert metrics_of(expression)
    assert metrics_of(expression) <= exported()


def test_panels_read_metrics_that_exist() -> None:
    for query in _queries():
        assert metrics_of(query), query
        assert metrics_of(query) <= exported()


def test_a_metric_that_does_not_exist_is_noticed() -> None:
    assert not metrics_of("rate(ray_serve_num_http_request_total[5m])") <= exported()


def test_every_alert_says_what_to_do() -> None:
    for alert in ALERTS:
        assert alert.severity in {"page", "ticket"}
        assert alert.summary.endswith(".")
        assert alert.runbook.endswith(".")


@pytest.mark.parametrize("fleet", EVERY_FLEET, ids=EVERY_NAME)
def test_nodes_are_counted_by_the_name_of_a_group(fleet: Fleet) -> None:
    groups = rayservice(fleet)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    assert "scorers" in {group["groupName"] for group in groups}


def test_prometheus_looks_for_ports_that_pods_have() -> None:
    spec = pod_monitor()["spec"]
    parts = set(spec["selector"]["matchExpressions"][0]["values"])
    pods = pods_of_fleet(make_fleet())
    assert parts == set(pods) - {"redis", "models"}
    ports = {name: {port["name"] for port in pods[name]["spec"]["containers"][0]["ports"]} for name in parts}
    assert all("metrics" in has for has in ports.values())
    assert {endpoint["port"] for endpoint in spec["podMetricsEndpoints"]} <= ports["head"]


def test_panels_stand_side_by_side() -> None:
    made = json.loads(dashboard_config()["data"]["rerank.json"])
    assert made == dashboard()
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in made["panels"]]
    assert len(places) == len(set(places))
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in made["panels"])
    assert [panel["id"] for panel in made["panels"]] == list(range(1, len(places) + 1))


def _queries() -> list[str]:
    return [target["expr"] for panel in dashboard()["panels"] for target in panel["targets"]]
