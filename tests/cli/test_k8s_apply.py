"""`rerank k8s apply`, `diff` and `delete` over a fake of the Kubernetes API."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from serve_app.cli import app
from serve_app.cluster.changes import TEMPORARY
from serve_app.cluster.kube import Conflict
from serve_app.cluster.manifests import manifests
from serve_app.errors import RerankError
from tests.cluster.fleets import EVERY_FLEET
from tests.cluster.kube_api import KubeApi
from tests.cluster.kube_server import fake_cluster

IMAGE = f"registry.example.com/rerank@sha256:{'b' * 64}"
OTHER_IMAGE = IMAGE.replace("b" * 64, "c" * 64)
DEV = ("--cloud", "none", "--image", IMAGE)
GPUS = ("--cloud", "gke", "--image", IMAGE)


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    with fake_cluster(tmp_path, monkeypatch) as api:
        yield api


def run(*arguments: str, answer: str = "") -> Result:
    return CliRunner().invoke(app, ["k8s", *arguments], input=answer, env={"COLUMNS": "200"})


def done(*arguments: str, answer: str = "") -> str:
    result = run(*arguments, answer=answer)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def refused(*arguments: str) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, RerankError), result.output
    return str(result.exception)


def test_all_of_a_fleet_is_made_in_an_empty_cluster(api: KubeApi) -> None:
    told = done("apply", *DEV, "--yes")
    made = [(each["kind"], each["metadata"]["name"]) for each in api.objects.values()]
    rendered = yaml.safe_load_all(run("render", *DEV).stdout)
    assert sorted(made) == sorted((each["kind"], each["metadata"]["name"]) for each in rendered)
    assert "+ RayService rerank" in told
    assert told.index("created Namespace rerank") < told.index("created RayService rerank")
    assert "pods wait until these Secrets are there: rerank-redis, rerank-keys, rerank-tls" in told


def test_it_asks_first_and_no_is_no(api: KubeApi) -> None:
    result = run("apply", *DEV, answer="n\n")
    assert result.exit_code == 1
    assert "Apply to http://127.0.0.1:" in result.stdout
    assert api.objects == {}
    done("apply", *DEV, answer="y\n")
    assert api.found("RayService")


def test_what_is_so_already_is_let_alone(api: KubeApi) -> None:
    done("apply", *DEV, "--yes")
    version = api.version
    assert "nothing to change" in done("apply", *DEV)
    assert api.version == version
    assert run("diff", *DEV).exit_code == 0


def test_a_placeholder_is_never_applied(api: KubeApi) -> None:
    assert "the image is a placeholder, which no node can pull" in refused("apply", "--cloud", "none", "--yes")
    assert api.asked == []


def test_a_difference_is_shown_line_by_line_and_by_the_exit_code(api: KubeApi) -> None:
    done("apply", *DEV, "--yes")
    version = api.version
    result = run("diff", "--cloud", "none", "--image", OTHER_IMAGE, "--host", "rerank.example.org")
    assert result.exit_code == 2
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert any(line.startswith("-") and IMAGE in line for line in lines)
    assert any(line.startswith("+") and OTHER_IMAGE in line for line in lines)
    assert "~ Ingress rerank" in lines
    assert not any("resourceVersion" in line or "managedFields" in line for line in lines)
    assert not any("StatefulSet" in line for line in lines)
    assert api.version == version


def test_routes_that_were_changed_in_place_stay_when_the_image_changes(api: KubeApi, tmp_path: Path) -> None:
    done("apply", *DEV, "--yes")
    file = tmp_path / "search.yaml"
    file.write_text("lanes: [{variant: rerank-tiny, weight: 100}]")
    done("routes", "set", "search", str(file))
    told = done("apply", "--cloud", "none", "--image", OTHER_IMAGE, "--yes")
    assert "search" not in told
    assert "search:" in api.found("RayService")["spec"]["serveConfigV2"]
    routes = tmp_path / "routes.yaml"
    routes.write_text("routes: {other: {lanes: [{variant: rerank-tiny, weight: 1}]}}")
    told = done("apply", "--cloud", "none", "--image", OTHER_IMAGE, "--routes", str(routes), "--yes")
    assert "-            search:" in told
    assert "search:" not in api.found("RayService")["spec"]["serveConfigV2"]


def test_a_job_that_cannot_be_changed_is_made_again(api: KubeApi) -> None:
    done("apply", *GPUS, "--yes")
    api.found("Job", "rerank-models")["status"] = {"succeeded": 1}
    told = done("apply", "--cloud", "gke", "--image", OTHER_IMAGE, "--yes")
    assert "succeeded" not in told
    assert "~ Job rerank-models (deleted and made again: it cannot be changed)" in told
    assert api.found("Job", "rerank-models")["spec"]["template"]["spec"]["containers"][0]["image"] == OTHER_IMAGE


def test_a_job_that_somebody_else_owns_is_not_made_again(api: KubeApi) -> None:
    done("apply", *GPUS, "--yes")
    [path] = [path for path in api.objects if "/jobs/" in path]
    api.objects[path]["spec"]["backoffLimit"] = 1
    api.owners[path]["spec", "backoffLimit"] = {"somebody"}
    assert "Job rerank-models has fields that somebody else owns" in refused("apply", *GPUS, "--yes")


def test_what_holds_data_is_not_made_again(api: KubeApi) -> None:
    done("apply", *DEV, "--yes")
    api.found("StatefulSet", "rerank-redis")["spec"]["serviceName"] = "another"
    version = api.version
    said = refused("apply", "--cloud", "none", "--image", OTHER_IMAGE, "--yes", "--force")
    assert said.startswith("the cluster refuses StatefulSet rerank-redis: StatefulSet is invalid: spec.serviceName")
    assert api.version == version


def test_without_the_prometheus_operator_the_rest_is_applied(api: KubeApi) -> None:
    del api.kinds["monitoring.coreos.com/v1"]
    told = done("apply", *GPUS, "--yes")
    assert "skipped PodMonitor rerank: the cluster has no such kind; with the Prometheus operator, apply again" in told
    assert api.found("RayService")


def test_without_kuberay_nothing_is_applied(api: KubeApi) -> None:
    del api.kinds["ray.io/v1"]
    assert "has no definition of the kind of RayService rerank" in refused("apply", *DEV, "--yes")
    assert api.objects == {}


def test_what_somebody_else_owns_is_said_before_anything_is_done(api: KubeApi) -> None:
    done("apply", *DEV, "--yes")
    [path] = [path for path in api.objects if "/ingresses/" in path]
    api.objects[path]["spec"]["rules"] = []
    api.owners[path]["spec", "rules"] = {"somebody"}
    version = api.version
    result = run("apply", "--cloud", "none", "--image", OTHER_IMAGE, "--yes")
    assert isinstance(result.exception, Conflict)
    assert 'Ingress rerank has fields that somebody else owns: .spec.rules: conflict with "somebody"' in str(
        result.exception
    )
    assert api.version == version
    done("apply", "--cloud", "none", "--image", OTHER_IMAGE, "--yes", "--force")
    assert api.found("Ingress")["spec"]["rules"]


def test_deleting_leaves_what_cannot_be_made_again(api: KubeApi) -> None:
    done("apply", *GPUS, "--yes")
    assert "deleted" in done("delete", answer="y\n")
    assert {each["kind"] for each in api.objects.values()} == {"Namespace", "PriorityClass", "PersistentVolumeClaim"}
    assert "there is no fleet in the namespace rerank" in done("delete")


def test_deleting_everything_says_what_is_lost(api: KubeApi) -> None:
    done("apply", *GPUS, "--yes")
    result = run("delete", "--everything", answer="n\n")
    assert "with all weights, usage and keys in it" in result.stdout
    assert api.found("RayService")
    done("delete", "--everything", "--yes")
    assert api.objects == {}


@pytest.mark.parametrize("fleet", EVERY_FLEET, ids=str)
def test_every_kind_is_deleted_or_kept_on_purpose(fleet: object) -> None:
    kept = {("v1", "Namespace"), ("scheduling.k8s.io/v1", "PriorityClass"), ("v1", "PersistentVolumeClaim")}
    kinds = {(each["apiVersion"], each["kind"]) for each in manifests(fleet).objects()}  # type: ignore[arg-type]
    assert kinds <= {*TEMPORARY} | kept
