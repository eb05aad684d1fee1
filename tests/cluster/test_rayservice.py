from collections.abc import Callable

import jsonschema
import pytest
import yaml

from serve_app.cluster.clouds import V100_NODES, Cloud
from serve_app.cluster.fleet import Fleet, Upgrade
from serve_app.cluster.objects import Object
from serve_app.cluster.rayservice import RAY_VERSION, rayservice
from serve_app.cluster.serve_config import serve_config
from serve_app.errors import ConfigurationError
from tests.cluster.crd import require_rayservice
from tests.cluster.fleets import CATALOG, EVERY_FLEET, EVERY_NAME, make_fleet
from tests.conftest import ROOT


@pytest.mark.parametrize("fleet", EVERY_FLEET, ids=EVERY_NAME)
def test_kuberay_knows_every_field(fleet: Fleet) -> None:
    require_rayservice(rayservice(fleet))


BREAKS: list[tuple[str, Callable[[Object], object]]] = [
    ("rayClusterConfigs", lambda spec: spec.update(rayClusterConfigs={})),
    ("nodeSelectors", lambda spec: _scorer_pod(spec).update(nodeSelectors={})),
    ("v3", lambda spec: spec["rayClusterConfig"]["autoscalerOptions"].update(version="v3")),
    ("four", lambda spec: spec["rayClusterConfig"]["workerGroupSpecs"][1].update(maxReplicas="four")),
    ("cpus", lambda spec: _scorer_pod(spec)["containers"][0]["resources"].update(cpus="1")),
]


@pytest.mark.parametrize(("said", "broken"), BREAKS, ids=[said for said, _ in BREAKS])
def test_what_kuberay_does_not_know_is_noticed(said: str, broken: Callable[[Object], object]) -> None:
    made = rayservice(make_fleet())
    broken(made["spec"])
    with pytest.raises(jsonschema.ValidationError, match=said):
        require_rayservice(made)


def _scorer_pod(spec: Object) -> Object:
    pod: Object = spec["rayClusterConfig"]["workerGroupSpecs"][1]["template"]["spec"]
    return pod


def test_serve_is_told_what_the_configuration_says() -> None:
    fleet = make_fleet()
    assert yaml.safe_load(rayservice(fleet)["spec"]["serveConfigV2"]) == serve_config(fleet)


def test_ray_is_the_version_of_the_image() -> None:
    assert f"ray=={RAY_VERSION}\n" in (ROOT / "constraints.txt").read_text()


@pytest.mark.parametrize("cloud", V100_NODES)
def test_scorers_run_on_v100_nodes(cloud: Cloud) -> None:
    pod = _scorer_pod(rayservice(make_fleet(cloud))["spec"])
    assert pod["nodeSelector"] == {V100_NODES[cloud].label: V100_NODES[cloud].value}
    assert [taint["key"] for taint in pod["tolerations"]] == ["nvidia.com/gpu"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"


def test_there_are_as_many_v100s_as_what_starts_at_once_takes() -> None:
    names = ("electra-base", "nboost-bert-base", "tinybert-l6")
    scorers = rayservice(make_fleet(catalog=CATALOG.only(names), chosen=names))["spec"]["rayClusterConfig"][
        "workerGroupSpecs"
    ][1]
    assert (scorers["minReplicas"], scorers["maxReplicas"]) == (2, 4)


def test_a_plan_that_does_not_fit_makes_no_manifest() -> None:
    names = ("electra-base", "nboost-bert-base", "tinybert-l6")
    with pytest.raises(ConfigurationError, match=r"= 1\.33 takes 2 V100s"):
        rayservice(make_fleet(catalog=CATALOG.only(names), chosen=names, most_gpus=1))


def test_an_upgrade_by_steps_is_one_that_the_operator_accepts() -> None:
    assert rayservice(make_fleet())["spec"]["upgradeStrategy"] == {"type": "NewCluster"}
    spec = rayservice(make_fleet(upgrade=Upgrade.INCREMENTAL, gateway_class="envoy"))["spec"]
    options = spec["upgradeStrategy"]["clusterUpgradeOptions"]
    assert options["gatewayClassName"] == "envoy"
    assert options["stepSizePercent"] <= options["maxSurgePercent"]
    assert spec["rayClusterConfig"]["enableInTreeAutoscaling"] is True


@pytest.mark.parametrize("fleet", EVERY_FLEET, ids=EVERY_NAME)
def test_what_kuberay_refuses_without_saying_so_in_its_schema(fleet: Fleet) -> None:
    cluster = rayservice(fleet)["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    assert cluster["authOptions"] == {"mode": "token"}  # by default it depends on Ray's version
    assert cluster["autoscalerOptions"]["version"] == "v2"  # or a group's own idleTimeoutSeconds is refused
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in groups:
        assert "labels" not in group["rayStartParams"]
        assert not ("resources" in group and {"num-cpus", "num-gpus"} & set(group["rayStartParams"]))
        assert group["template"]["spec"].get("restartPolicy", "Never") == "Never"  # of the autoscaler v2
        names = [variable["name"] for variable in group["template"]["spec"]["containers"][0]["env"]]
        assert not [name for name in names if "REDIS" in name]  # beside gcsFaultToleranceOptions
