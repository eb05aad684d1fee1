"""A service that a real Prometheus watches: what alerts and the dashboard read is there, and says what was done.

One story, told once: a canary that fails some of its requests, a lane that fails openly, a canary that is stopped.
"""

import itertools
import json
import math
import time
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve_app.catalog import Catalog
from serve_app.cluster.alerts import ALERTS, prometheus_rule
from serve_app.cluster.dashboard import PANELS
from serve_app.cluster.rollout import Vitals
from serve_app.cluster.vitals import Prometheus
from serve_app.metrics import ANSWER_MS
from tests.cluster.prometheus import Server, prometheus
from tests.cluster.ray_metrics import metrics_of
from tests.connections import Ask, tell
from tests.faults import Fault, as_argument, write_catalog
from tests.fleet import Fleet, fleet
from tests.redis_server import database
from tests.running import free_port

pytestmark = pytest.mark.slow
FAULTS = {"failing": Fault(failing=0.3), "inverted": Fault(inverted=True)}
ROUTE = "/admin/routes/search"
SEEN_WITHIN_S = 60.0
THERE_WITHIN_S = 10.0
"""What comes and goes."""
HASTE = {
    "RAY_metrics_report_interval_ms": "1000",
    "REPORTER_UPDATE_INTERVAL_MS": "1000",
    "RAY_SERVE_STATUS_GAUGE_REPORT_INTERVAL_S": "1",
}
"""What Ray tells every ten seconds, or five. A gauge is forgotten two reports after it was last told."""
UNGUARDED = {"max_error_rate": None, "max_latency_ratio": None, "min_agreement": None, "compare": 1.0}
STRICT = {**UNGUARDED, "min_agreement": 0.2}
NOT_HERE = {
    "ray_node_gpus_utilization": "a node without a GPU",
    "ray_node_gram_used": "a node without a GPU",
    "ray_rerank_memory_splits_total": "a GPU that has no memory for a batch",
}
"""What no service on this machine can have, and what it would take."""


@dataclass(frozen=True)
class Watched:
    """What the story left behind."""

    server: Server
    lanes: dict[str, dict[str, Any]]
    """By variant, as the admin API showed them before the second canary."""
    disagreements: list[dict[str, Any]]
    vitals: Vitals
    """Of the first canary, of the same moment."""
    after: Vitals
    """Of the second one."""


@pytest.fixture(scope="module")
def watched(catalog: Catalog, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    names = ["old", *FAULTS]
    arguments = {
        **write_catalog(catalog, names, tmp_path_factory.mktemp("lanes")),
        "variants": names,  # so that all start at once
        "redis_url": database(redis_url, 7),
        "usage": {"flush_every_s": 1.0},
        "open": True,
        "faults": as_argument(FAULTS),
    }
    environment = {**HASTE, "AUTOSCALER_METRIC_PORT": str(free_port())}  # otherwise the same for every Ray
    folder = tmp_path_factory.mktemp("prometheus")
    with fleet(arguments, environment) as running:
        assert len(running.metrics) == 2, running.metrics
        with prometheus(folder, _config(folder, running)) as server:
            yield _story(running, server)


def _config(folder: Path, running: Fleet) -> dict[str, Any]:
    """As the operator makes it of PodMonitor and PrometheusRule, but that everything is waited for less long."""
    rules = json.loads(json.dumps(prometheus_rule()["spec"]))
    for rule in rules["groups"][0]["rules"]:
        rule["for"] = "0s"
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules))
    targets = [
        {"targets": [address], "labels": {"pod": f"pod-{number}"}} for number, address in enumerate(running.metrics)
    ]
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yaml")],
        "scrape_configs": [{"job_name": "rerank", "static_configs": targets}],
    }


def _story(running: Fleet, server: Server) -> Watched:
    server.wait_until(lambda: len(server.query("up == 1")) == len(running.metrics), SEEN_WITHIN_S)
    asking, since = Prometheus(server.url), time.time()
    _put(running, "failing", UNGUARDED, shadows=[{"variant": "inverted", "sample": 1.0}])
    _drive(running, "search", seconds=6.0)
    _drive(running, "failing", seconds=4.0)
    lanes = {lane["variant"]: lane for lane in _route(running)["lanes"]}
    disagreements = running.http.get(f"{ROUTE}/disagreements").json()["data"]
    counted = sum(lane["requests"] for lane in lanes.values())
    told = 'sum(ray_rerank_answers_total{route="search"})'
    server.wait_until(lambda: server.query(told)[0]["value"][1] == str(counted), SEEN_WITHIN_S)
    time.sleep(2.0)  # what is told with it may come a report later
    vitals = asking.vitals("search", "failing", "old", 40.0, since)
    since = time.time()
    _put(running, "inverted", STRICT)
    while _route(running)["lanes"][1]["share"]:
        assert time.time() < since + SEEN_WITHIN_S, "the canary is not stopped"
        _drive(running, "search", seconds=1.0)
    server.wait_until(lambda: "RerankCanaryAborted" in server.firing(), SEEN_WITHIN_S)
    return Watched(server, lanes, disagreements, vitals, asking.vitals("search", "inverted", "old", 40.0, since))


def _put(running: Fleet, canary: str, guard: dict[str, Any], **terms: Any) -> None:
    lanes = [{"variant": "old", "weight": 60}, {"variant": canary, "weight": 40, "guard": guard}]
    changed = running.http.put(ROUTE, json={"lanes": lanes, **terms})
    assert changed.status_code == 200, changed.text


def _route(running: Fleet) -> dict[str, Any]:
    [route] = running.http.get("/admin/routes").json()["routes"]
    return dict(route)


def _drive(running: Fleet, model: str, seconds: float) -> None:
    """Good requests, and one in ten that is not, over several reports of each router."""
    until = time.monotonic() + seconds

    def asks() -> Iterator[Ask]:
        for number in itertools.takewhile(lambda _: time.monotonic() < until, itertools.count()):
            query = f"question {number}" if number % 10 else ""
            body = {"model": model, "query": query, "documents": ["the sea", "a house", "bread", "an island"]}
            yield Ask("/v1/rerank", json.dumps(body).encode(), None)
            time.sleep(0.01)

    answers = running.drive(asks(), 2)
    assert {answer.status for answer in answers} >= {200, 422}
    tell(f"{model}: {len(answers)} requests")


def test_every_rule_can_be_evaluated(watched: Watched) -> None:
    rules = {rule["name"]: (rule["health"], rule.get("lastError", "")) for rule in watched.server.rules()}
    assert rules == {alert.name: ("ok", "") for alert in ALERTS}


def test_every_metric_that_is_read_is_there(watched: Watched) -> None:
    read = [alert.expression for alert in ALERTS] + [line for panel in PANELS for line, _ in panel.lines]
    names = set[str]().union(*map(metrics_of, read))
    assert names > set(NOT_HERE)
    for name in names - set(NOT_HERE):
        watched.server.wait_until(lambda: bool(watched.server.query(name)), THERE_WITHIN_S)  # noqa: B023 - at once
    assert not any(watched.server.query(name) for name in NOT_HERE)


LINES = [(panel.title, legend, line) for panel in PANELS for line, legend in panel.lines]


@pytest.mark.parametrize(("title", "legend", "line"), LINES, ids=[f"{title}, {legend}" for title, legend, _ in LINES])
def test_every_line_of_the_dashboard_has_a_value(watched: Watched, title: str, legend: str, line: str) -> None:
    if metrics_of(line) & set(NOT_HERE):
        assert not watched.server.query(line)
        return
    watched.server.wait_until(lambda: bool(watched.server.query(line)), THERE_WITHIN_S)
    found = watched.server.query(line)
    tell(f"{title}: {[(each['metric'], each['value'][1]) for each in found]}")
    assert any(math.isfinite(float(each["value"][1])) for each in found)
    named = set(legend.replace("{{", "}}").split("}}")[1::2])
    assert any(named <= set(each["metric"]) for each in found)  # what names no route has none


def test_a_version_that_nobody_changes_stays_known(watched: Watched) -> None:
    watched.server.wait_until(lambda: bool(watched.server.query("ray_rerank_routes_version")), THERE_WITHIN_S)


def test_the_dashboard_shows_how_orders_agree(watched: Watched) -> None:
    [line] = [line for panel in PANELS if "tau" in panel.title for line, _ in panel.lines]
    shown = {
        (each["metric"]["variant"], each["metric"]["other"]): each["value"][1] for each in watched.server.query(line)
    }
    # Rates of two counters, which may begin a scrape apart.
    assert float(shown["failing", "old"]) == pytest.approx(1, abs=0.3)
    assert float(shown["old", "inverted"]) == pytest.approx(-1, abs=0.3)


def test_alerts_fire_for_what_happened(watched: Watched) -> None:
    firing = watched.server.firing()
    assert firing.keys() >= {"RerankCanaryAborted", "RerankRequestsFail"}
    assert not firing.keys() & {"RerankNotRunning", "RerankGpuMemoryShort", "RerankUsageNotWritten", "RerankQueueGrows"}
    aborted = firing["RerankCanaryAborted"]
    assert (aborted["route"], aborted["variant"], aborted["limit"]) == ("search", "inverted", "agreement")


def test_prometheus_counts_what_the_admin_api_counts(watched: Watched) -> None:
    own, baseline, seen = watched.lanes["failing"], watched.lanes["old"], watched.vitals
    tell(f"{own}\n{baseline}\n{seen}")
    assert own["requests"] > own["failures"] > 0
    assert (seen.percent, seen.requests, seen.failures) == (40.0, own["requests"], own["failures"])
    assert seen.baseline_error_rate == baseline["failures"] / baseline["requests"]
    assert seen.agreement == pytest.approx(own["mean_tau"])
    assert seen.aborted_because is None


def test_quantiles_are_of_the_same_bucket_or_the_next(watched: Watched) -> None:
    own, baseline, seen = watched.lanes["failing"], watched.lanes["old"], watched.vitals
    for figure, shown in ((seen.p50_ms, own["p50_ms"]), (seen.baseline_p50_ms, baseline["p50_ms"])):
        assert figure is not None
        assert abs(_bucket(figure) - _bucket(shown)) <= 1, (figure, shown)
    for figure, shown, half in (
        (seen.p99_ms, own["p99_ms"], seen.p50_ms),
        (seen.baseline_p99_ms, baseline["p99_ms"], seen.baseline_p50_ms),
    ):
        assert figure is not None
        assert half is not None
        assert half < figure  # of so few it may be that of a request or two before the slowest, which is shown
        assert _bucket(figure) <= _bucket(shown) + 1, (figure, shown)


def _bucket(milliseconds: float) -> int:
    return bisect_left(ANSWER_MS.boundaries, milliseconds)


def test_a_canary_that_was_stopped_is_seen(watched: Watched) -> None:
    assert watched.after.percent == 0
    assert watched.after.aborted_because == "the service took its weight: it broke the limit of agreement"


def test_what_was_ordered_otherwise_can_be_read(watched: Watched) -> None:
    assert watched.disagreements
    assert {(each["compared"], each["tau"]) for each in watched.disagreements} == {("inverted", -1.0)}
