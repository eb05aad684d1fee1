"""`rerank k8s routes` and `rollout` over a fake of the Kubernetes API, and vitals that the test gives."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from serve_app.cli import app
from serve_app.cluster.declared import declared_routes
from serve_app.cluster.kube import CHANGER, Conflict
from serve_app.cluster.lever import ClusterLever
from serve_app.cluster.rollout import Vitals
from serve_app.cluster.vitals import Prometheus
from serve_app.errors import RerankError
from tests.cli.test_k8s_apply import IMAGE, done
from tests.cluster.kube_api import KubeApi
from tests.cluster.kube_server import fake_cluster

FLEET = ("--cloud", "gke", "--image", IMAGE, "--variants", "minilm-l6,minilm-l12,minilm-l2")
QUICK = ("--steps", "20,100", "--hold", "0.1s", "--min-observations", "3")


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    """With a route `search`."""
    monkeypatch.setattr(ClusterLever, "look_every_s", 0.02)
    with fake_cluster(tmp_path, monkeypatch) as api:
        done("apply", *FLEET, "--yes")
        file = tmp_path / "search.yaml"
        file.write_text("lanes: [{variant: cross-encoder/ms-marco-MiniLM-L6-v2, weight: 100}]")
        done("routes", "set", "search", str(file))
        yield api


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["k8s", *arguments], env={"COLUMNS": "200"})


def refused(*arguments: str) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, RerankError), result.output
    return str(result.exception)


def lanes(api: KubeApi) -> dict[str, float]:
    table = declared_routes(api.found("RayService"))
    return {lane.variant: lane.weight for lane in table.routes["search"].lanes}


def see(monkeypatch: pytest.MonkeyPatch, **seen: Any) -> list[tuple[Any, ...]]:
    """Prometheus sees this of every canary; returns what it is asked."""
    asked: list[tuple[Any, ...]] = []

    def vitals(_: Prometheus, route: str, canary: str, baseline: str, percent: float, since: float) -> Vitals:
        asked.append((route, canary, baseline, percent, since))
        return Vitals(**{"percent": percent, "requests": 100, **seen})

    monkeypatch.setattr(Prometheus, "vitals", vitals)
    return asked


def test_a_change_is_one_patch_of_serve_config_alone(api: KubeApi) -> None:
    before = api.found("RayService")
    told = done("routes", "canary", "search", "ms-marco-MiniLM-L12-v2", "--weight", "10")
    assert told == "declared search: minilm-l6 90, minilm-l12 10 (canary)\n"
    [patch] = [asked for asked in api.asked if asked.content_type == "application/merge-patch+json"][1:]
    assert patch.path == "/apis/ray.io/v1/namespaces/rerank/rayservices/rerank"
    assert patch.query == {"fieldManager": CHANGER}
    assert set(patch.body) == {"metadata", "spec"}
    assert set(patch.body["spec"]) == {"serveConfigV2"}
    after = api.found("RayService")
    assert {**after["spec"], "serveConfigV2": ""} == {**before["spec"], "serveConfigV2": ""}
    assert lanes(api) == {"minilm-l6": 90, "minilm-l12": 10}


def test_a_change_that_somebody_made_meanwhile_is_not_lost(api: KubeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = api.answer

    def meanwhile(asked: Any) -> Any:
        if asked.method == "PATCH":
            api.version += 1
            api.found("RayService")["metadata"]["resourceVersion"] = str(api.version)
        return answer(asked)

    monkeypatch.setattr(api, "answer", meanwhile)
    result = run("routes", "canary", "search", "minilm-l12")
    assert isinstance(result.exception, Conflict)
    assert "RayService rerank was changed by somebody else meanwhile" in str(result.exception)
    assert lanes(api) == {"minilm-l6": 100}


def test_show_prints_a_file_of_routes_and_what_is_served(api: KubeApi) -> None:
    told = done("routes", "show")
    assert yaml.safe_load(told) == {"routes": {"search": {"lanes": [{"variant": "minilm-l6", "weight": 100.0}]}}}
    assert "# the fleet serves" in told
    assert "minilm-l12" in told


def test_promote_abort_remove(api: KubeApi) -> None:
    done("routes", "canary", "search", "minilm-l12")
    done("routes", "abort", "search")
    assert lanes(api) == {"minilm-l6": 100, "minilm-l12": 0}
    done("routes", "canary", "search", "minilm-l12")
    done("routes", "promote", "search")
    assert lanes(api) == {"minilm-l12": 100}
    assert CliRunner().invoke(app, ["k8s", "routes", "remove", "search"], input="n\n").exit_code == 1
    assert lanes(api) == {"minilm-l12": 100}
    assert done("routes", "remove", "search", "--yes") == "search is no route any more\n"
    assert "the RayService declares no routes" in done("routes", "show")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("routes", "promote", "search"), "the route search has no canary"),
        (("routes", "promote", "other"), "the RayService declares no route 'other'; its routes are: search"),
        (("routes", "canary", "search", "bge"), "the fleet serves no 'bge'"),
        (("routes", "canary", "search", "electra-base"), "the fleet serves no 'electra-base'"),
        (("rollout", "other", "minilm-l12", *QUICK), "declares no route 'other'"),
        (
            ("rollout", "search", "minilm-l12", "--resume", *QUICK),
            "minilm-l12 is no canary of search that has a weight",
        ),
        (("rollout", "search", "minilm-l6", *QUICK), "minilm-l6 is the only lane of search"),
    ],
)
def test_what_cannot_be_is_a_sentence(api: KubeApi, arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in refused(*arguments)
    assert lanes(api) == {"minilm-l6": 100}


def test_a_good_variant_becomes_the_only_lane(api: KubeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = see(monkeypatch)
    told = done("rollout", "search", "minilm-l12", *QUICK)
    assert "minilm-l12 is the only lane of search" in told
    assert lanes(api) == {"minilm-l12": 100}
    assert {each[:4] for each in asked} == {("search", "minilm-l12", "minilm-l6", percent) for percent in (20, 100)}
    times = [since for *_, percent, since in asked if percent == 20], [since for *_, p, since in asked if p == 100]
    assert max(times[0]) < min(times[1])  # what a step is judged by came after its move


def test_a_bad_variant_is_given_up_with_its_reason(api: KubeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch, failures=30)
    said = refused("rollout", "search", "minilm-l12", *QUICK)
    assert said.startswith("minilm-l12 was not rolled out: it fails 30.0% of its requests, and 1.0% are allowed")
    assert lanes(api) == {"minilm-l6": 100, "minilm-l12": 0}


def test_what_the_routers_aborted_is_declared_so(api: KubeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch, percent=0.0, aborted_because="latency")
    assert refused("rollout", "search", "minilm-l12", *QUICK) == "minilm-l12 was not rolled out: latency"
    assert lanes(api) == {"minilm-l6": 100, "minilm-l12": 0}


def test_a_weight_that_somebody_took_ends_it(api: KubeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch)
    monkeypatch.setattr(
        "serve_app.cli.rolling.time.sleep", lambda _: lanes(api).get("minilm-l12") and done("routes", "abort", "search")
    )
    said = refused("rollout", "search", "minilm-l12", "--steps", "20,100", "--hold", "30s")
    assert said == "minilm-l12 was not rolled out: its weight was taken by somebody else"


def test_interrupted_it_goes_on(api: KubeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("serve_app.cli.rolling.time.sleep", interrupt)
        result = run("rollout", "search", "minilm-l12", *QUICK)
    assert result.exit_code == 130
    assert "minilm-l12 stays the canary of search; the same command with --resume goes on" in result.stdout
    assert "end it with `rerank k8s routes abort`" in refused("rollout", "search", "minilm-l12", *QUICK)
    done("rollout", "search", "minilm-l12", "--resume", *QUICK)
    assert lanes(api) == {"minilm-l12": 100}
