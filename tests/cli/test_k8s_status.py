"""`rerank k8s status` and `logs` over a fake of the Kubernetes API, whose operator the test is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from serve_app.cli import app
from serve_app.cluster.objects import kubernetes_object
from serve_app.errors import RerankError
from tests.cli.test_k8s_apply import DEV, done
from tests.cluster.kube_api import KubeApi
from tests.cluster.kube_server import fake_cluster
from tests.cluster.test_status import SIDE, pod, waiting


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    with fake_cluster(tmp_path, monkeypatch) as api:
        done("apply", *DEV, "--yes")
        yield api


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["k8s", *arguments], env={"COLUMNS": "200"})


def put_pod(api: KubeApi, name: str, group: str, **status: Any) -> None:
    seen = pod(name, group, **status)
    made = kubernetes_object("v1", "Pod", name, {"spec": {"containers": [{"name": f"ray-{group[:-1]}"}]}})
    made["metadata"]["labels"] = seen["metadata"]["labels"]
    api.put({**made, "spec": {**made["spec"], **seen["spec"]}, "status": seen["status"]})


def report(api: KubeApi, ready: str) -> None:
    conditions = [{"type": "Ready", "status": ready, "reason": "NonZeroServeEndpoints", "message": "it answers"}]
    api.put({**api.found("RayService"), "status": {"conditions": conditions, "activeServiceStatus": SIDE}})


def test_status_shows_what_runs_and_why_a_pod_waits(api: KubeApi) -> None:
    report(api, "True")
    spec = {"workerGroupSpecs": [{"groupName": "scorers", "replicas": 2, "minReplicas": 1, "maxReplicas": 4}]}
    api.put(kubernetes_object("ray.io/v1", "RayCluster", "rerank-abc", {"spec": spec}))
    put_pod(api, "scorer-1", "scorers")
    put_pod(api, "scorer-2", "scorers", ready=False, containerStatuses=[waiting("ErrImagePull", "not found")])
    result = run("status")
    assert result.exit_code == 0
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert "✓ Ready True NonZeroServeEndpoints: it answers" in lines
    assert "minilm-l12 rerank-abc UPSCALING waits for a node" in lines
    assert "scorers rerank-abc 1 2 1 4" in lines
    assert "· scorer-2 scorer node-7 ray-scorer: ErrImagePull: not found" in lines


def test_without_an_operator_it_says_what_to_look_at(api: KubeApi) -> None:
    result = run("status")
    assert result.exit_code == 2
    assert "does its operator run?" in result.stdout
    assert "waits because" not in result.stdout
    report(api, "False")
    assert "operator" not in run("status").stdout


def test_the_exit_code_says_whether_it_answers(api: KubeApi) -> None:
    assert run("status").exit_code == 2
    report(api, "False")
    assert run("status").exit_code == 2
    report(api, "True")
    assert run("status").exit_code == 0


def test_watching_shows_what_changes(api: KubeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([lambda: report(api, "True"), None])

    def pass_time(_: float) -> None:
        if (look := next(looks)) is None:
            raise KeyboardInterrupt
        look()

    monkeypatch.setattr("serve_app.cli.k8s_status.time.sleep", pass_time)
    result = run("status", "--watch")
    assert result.exit_code == 0
    assert "NonZeroServeEndpoints" in result.stdout


def test_without_a_fleet_the_way_to_one_is_named(api: KubeApi) -> None:
    done("delete", "--everything", "--yes")
    result = run("status")
    assert isinstance(result.exception, RerankError)
    assert "there is no RayService rerank in rerank: `rerank k8s apply` makes one" in str(result.exception)


def test_logs_of_routers_say_whose_they_are(api: KubeApi) -> None:
    for number in (1, 2):
        put_pod(api, f"router-{number}", "routers")
        api.logs[f"router-{number}/ray-router"] = f"old\nPOST /v1/rerank 200 [{number}]\n"
    assert run("logs", "--lines", "1").stdout.splitlines() == [
        "router-1  POST /v1/rerank 200 [1]",
        "router-2  POST /v1/rerank 200 [2]",
    ]
    followed = run("logs", "router", "--follow", "--lines", "1").stdout.splitlines()
    assert sorted(followed) == ["router-1  POST /v1/rerank 200 [1]", "router-2  POST /v1/rerank 200 [2]"]


def test_the_autoscaler_is_a_container_of_the_head(api: KubeApi) -> None:
    put_pod(api, "head-1", "heads")
    api.logs["head-1/autoscaler"] = "wants a V100"
    assert run("logs", "autoscaler").stdout == "wants a V100\n"
    result = run("logs", "scorer")
    assert "there is no pod for scorer in rerank" in str(result.exception)
