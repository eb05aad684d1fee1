"""The commands from an empty cluster to an empty cluster: on a fake of its API, and with `-m cluster` on a real one.

The real one is that of KUBECONFIG. It needs KubeRay's definitions and operator, and neither GPUs nor images: nothing
waits until a pod runs. What is in its namespace `rerank` is deleted in the end, so it must have none at first.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from serve_app.cli import app
from serve_app.cluster.kube import Conflict, Kube
from serve_app.cluster.objects import NAMESPACE, Object, cluster_object, kubernetes_object
from tests.cluster.kube_api import KubeApi
from tests.cluster.kube_server import fake_cluster

IMAGE = f"registry.invalid/none@sha256:{'b' * 64}"
FLEET = ("--cloud", "none", "--image", IMAGE)
WITHIN_S = 120
RAYSERVICE = kubernetes_object("ray.io/v1", "RayService", "rerank", {})
NAMESPACE_OBJECT = cluster_object("v1", "Namespace", NAMESPACE, {})


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.cluster)])
def kube(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kube]:
    if request.param == "fake":
        with fake_cluster(tmp_path, monkeypatch) as api:
            _operate(api)
            yield Kube()
        return
    if "KUBECONFIG" not in os.environ:
        pytest.skip("needs a cluster with KubeRay: KUBECONFIG=… pytest -m cluster")
    kube = Kube()
    if kube.read(NAMESPACE_OBJECT) is not None:
        pytest.fail(f"{kube.host} has a namespace {NAMESPACE}, which this test would delete: use another cluster")
    yield kube
    kube.delete(NAMESPACE_OBJECT)


def _operate(api: KubeApi) -> None:
    """What the operator does first: a condition, and a Ray cluster."""
    answer = api.answer

    def with_operator(asked: object) -> object:
        told = answer(asked)  # type: ignore[arg-type]
        services = [each for path, each in api.objects.items() if "/rayservices/" in path and "status" not in each]
        for service in services:
            conditions = [{"type": "Ready", "status": "False", "reason": "Initializing", "message": ""}]
            service["status"] = {"conditions": conditions, "pendingServiceStatus": {"rayClusterName": "rerank-abc"}}
            api.put(kubernetes_object("ray.io/v1", "RayCluster", "rerank-abc", {"spec": {}}))
        return told

    api.answer = with_operator  # type: ignore[method-assign]


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["k8s", *arguments], env={"COLUMNS": "200"})
    assert result.exit_code == code, (result.output, result.exception)
    return result.stdout


def wait_for(what: Callable[[], Object | None], until: Callable[[Object | None], bool]) -> Object | None:
    deadline = time.monotonic() + WITHIN_S
    while not until(found := what()):
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    return found


def test_from_an_empty_cluster_to_an_empty_cluster(kube: Kube, tmp_path: Path) -> None:
    assert "+ RayService rerank" in run("diff", *FLEET, code=2)
    assert kube.read(NAMESPACE_OBJECT) is None
    run("apply", *FLEET, "--yes")
    wait_for(lambda: kube.read(RAYSERVICE), lambda live: bool(live and live.get("status", {}).get("conditions")))
    assert "Ready" in run("status", code=2)
    clusters = {each["metadata"]["name"] for each in kube.listed("ray.io/v1", "RayCluster")}
    assert len(clusters) == 1

    live = kube.read(RAYSERVICE)
    assert live is not None
    file = tmp_path / "search.yaml"
    file.write_text("lanes: [{variant: rerank-tiny, weight: 100}]")
    run("routes", "set", "search", str(file))
    assert "search:" in run("routes", "show")
    with pytest.raises(Conflict):
        kube.change(live, {"spec": {"serveConfigV2": "{}"}})
    run("diff", *FLEET)  # routes that were changed in place are no difference
    time.sleep(5 if "KUBECONFIG" in os.environ else 0)  # the operator would have made another cluster by then
    assert {each["metadata"]["name"] for each in kube.listed("ray.io/v1", "RayCluster")} == clusters

    run("delete", "--everything", "--yes")
    wait_for(lambda: kube.read(RAYSERVICE), lambda live: live is None)
