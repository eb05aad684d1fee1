"""Every object against what Kubernetes knows of its kind."""

from collections.abc import Callable

import kubernetes_validate
import pytest
import yaml

from serve_app.cluster.fleet import Fleet
from serve_app.cluster.manifests import manifests
from serve_app.cluster.objects import Object
from tests.cluster.fleets import EVERY_FLEET, EVERY_NAME, make_fleet, pods
from tests.conftest import ROOT

CUSTOM = {"RayService", "PodMonitor", "PrometheusRule"}
"""Kinds with tests of their own."""
VERSIONS = ["1.32", "1.37"]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("fleet", EVERY_FLEET, ids=EVERY_NAME)
def test_kubernetes_knows_every_field(fleet: Fleet, version: str) -> None:
    for each in manifests(fleet).objects():
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field_of_ray_pods(version: str) -> None:
    for part, template in pods(manifests(make_fleet()).objects()):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": part}, "spec": template["spec"]}
        kubernetes_validate.validate(pod, version, strict=True)


BREAKS: list[tuple[str, Callable[[Object], object]]] = [
    ("Service", lambda spec: spec.update(port=1)),
    ("StatefulSet", lambda spec: spec["template"]["spec"]["containers"][0].update(imagePullPolice="Always")),
    ("NetworkPolicy", lambda spec: spec.update(policyTypes=["Ingres"], podSelectors={})),
    ("PodDisruptionBudget", lambda spec: spec.update(minAvailable=[1])),
    ("Ingress", lambda spec: spec["rules"][0]["http"].update(path="/")),
    ("Job", lambda spec: spec.update(backoffLimit="six")),
    ("PersistentVolumeClaim", lambda spec: spec.update(storage="1Gi")),
]


@pytest.mark.parametrize(("kind", "broken"), BREAKS, ids=[kind for kind, _ in BREAKS])
def test_what_kubernetes_does_not_know_is_noticed(kind: str, broken: Callable[[Object], object]) -> None:
    made = next(each for each in manifests(make_fleet()).objects() if each["kind"] == kind)
    broken(made["spec"])
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(made, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("fleet", EVERY_FLEET, ids=EVERY_NAME)
def test_no_two_objects_have_one_name(fleet: Fleet) -> None:
    names = [(each["kind"], each["metadata"]["name"]) for each in manifests(fleet).objects()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("fleet", EVERY_FLEET, ids=EVERY_NAME)
def test_the_example_has_every_secret_that_is_read_and_no_other(fleet: Fleet) -> None:
    examples = list(yaml.safe_load_all((ROOT / "k8s/secrets.example.yaml").read_text()))
    for each in examples:
        kubernetes_validate.validate(each, VERSIONS[-1], strict=True)
    text = yaml.safe_dump(manifests(fleet).objects())
    read = {line.split(": ")[1] for line in text.splitlines() if line.strip().startswith("secretName:")}
    assert {each["metadata"]["name"] for each in examples} == read
    keys = {key for each in examples for key in each["stringData"]}
    assert {"password", "keys.json"} <= keys
    assert "secretKeyRef" in text


def test_a_default_of_the_fleet_is_named_by_no_tag() -> None:
    for _, template in pods(manifests(make_fleet()).objects()):
        for container in template["spec"]["containers"]:
            if container["name"] != "redis":  # whose digest depends on where it is pulled from: k8s/README.md
                assert "@sha256:" in container["image"]
