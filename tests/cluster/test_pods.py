import re

import click
import pytest

from serve_app.cluster.clouds import Cloud
from serve_app.cluster.fleet import Fleet
from serve_app.cluster.objects import Object
from serve_app.cluster.placement import CPUS_OF_A_GPU
from serve_app.cluster.pods import USER_ID
from serve_app.cluster.serve_config import KEYS_FILE, REDIS_PASSWORD_FILE
from serve_app.ingress import WAY_IN
from serve_app.settings import Limits
from tests.cluster.fleets import EVERY_FLEET, EVERY_NAME, make_fleet, pods_of_fleet
from tests.conftest import ROOT


def _containers(pod: Object) -> list[Object]:
    return [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]


@pytest.mark.parametrize("fleet", EVERY_FLEET, ids=EVERY_NAME)
def test_nothing_runs_as_root_or_writes_but_to_volumes(fleet: Fleet) -> None:
    for part, pod in pods_of_fleet(fleet).items():
        assert pod["spec"]["securityContext"]["runAsNonRoot"], part
        assert pod["spec"]["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in _containers(pod):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"], part
            assert (security["allowPrivilegeEscalation"], security["capabilities"]) == (False, {"drop": ["ALL"]})


@pytest.mark.parametrize("fleet", EVERY_FLEET, ids=EVERY_NAME)
def test_every_container_has_what_it_asks_for_and_every_mount_a_volume(fleet: Fleet) -> None:
    for pod in pods_of_fleet(fleet).values():
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", [])} | {"data"}
        for container in _containers(pod):
            assert container["resources"]["requests"] == container["resources"]["limits"]
            assert {mount["name"] for mount in container["volumeMounts"]} <= volumes


def test_the_user_is_the_one_of_the_image() -> None:
    assert f"USER {USER_ID}:{USER_ID}\n" in (ROOT / "k8s/Dockerfile").read_text()


@pytest.mark.parametrize("part", ["router", "scorer"])
def test_a_worker_drains_before_it_stops(part: str) -> None:
    fleet = make_fleet(limits=Limits(request_timeout_s=120))
    spec = pods_of_fleet(fleet)[part]["spec"]
    [command] = spec["containers"][0]["lifecycle"]["preStop"]["exec"]["command"][2:]
    [asked], [slept] = re.findall(r"^timeout (\d+) ", command), re.findall(r"sleep (\d+)$", command)
    assert 120 < int(slept) < int(slept) + int(asked) < spec["terminationGracePeriodSeconds"]
    assert f"--deadline-remaining-seconds {slept};" in command


def test_ray_knows_the_options_of_the_drain() -> None:
    from ray.scripts.scripts import drain_node

    [command] = pods_of_fleet(make_fleet())["scorer"]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"][
        "command"
    ][2:]
    given = set(re.findall(r"--[a-z-]+", command))
    assert given <= {option for parameter in drain_node.params for option in parameter.opts}
    [reason] = [parameter for parameter in drain_node.params if parameter.name == "reason"]
    assert isinstance(reason.type, click.Choice)
    assert "DRAIN_NODE_REASON_PREEMPTION" in reason.type.choices


@pytest.mark.parametrize("part", ["head", "router", "scorer"])
def test_secrets_are_where_the_application_reads_them(part: str) -> None:
    mounts = {
        mount["mountPath"] for mount in pods_of_fleet(make_fleet())[part]["spec"]["containers"][0]["volumeMounts"]
    }
    assert {KEYS_FILE.rsplit("/", 1)[0], REDIS_PASSWORD_FILE.rsplit("/", 1)[0]} <= mounts


def test_scorers_alone_have_the_weights_and_wait_for_them() -> None:
    pods = pods_of_fleet(make_fleet())
    assert "ms-marco-MiniLM-L12-v2" in pods["scorer"]["spec"]["initContainers"][0]["command"][2]
    mounted = {part for part, pod in pods.items() if "/models" in str(pod["spec"]["containers"][0]["volumeMounts"])}
    assert mounted == {"scorer", "models"}
    assert "initContainers" not in pods_of_fleet(make_fleet(Cloud.NONE))["scorer"]["spec"]


def test_a_gpu_has_the_cpus_that_placement_counts_on() -> None:
    assert pods_of_fleet(make_fleet())["scorer"]["spec"]["containers"][0]["resources"]["limits"]["cpu"] == str(
        CPUS_OF_A_GPU
    )


def test_only_the_head_talks_to_the_api_server() -> None:
    pods = pods_of_fleet(make_fleet())
    may = {part for part, pod in pods.items() if pod["spec"].get("automountServiceAccountToken", True)}
    assert may == {"head"}


def test_the_hub_is_asked_by_the_job_alone() -> None:
    for part, pod in pods_of_fleet(make_fleet()).items():
        names = [variable["name"] for variable in pod["spec"]["containers"][0]["env"]]
        assert ("HF_HUB_OFFLINE" in names) == (part in {"head", "router", "scorer"}), part


@pytest.mark.parametrize("part", ["head", "router", "scorer"])
def test_every_node_has_haproxy_on_it(part: str) -> None:
    told = {each["name"]: each["value"] for each in pods_of_fleet(make_fleet())[part]["spec"]["containers"][0]["env"]}
    assert told["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    assert WAY_IN.items() <= told.items()


def test_probes_use_what_the_image_has() -> None:
    dockerfile = (ROOT / "k8s/Dockerfile").read_text()
    for part in ("head", "router", "scorer"):
        container = pods_of_fleet(make_fleet())[part]["spec"]["containers"][0]
        for probe in (container["livenessProbe"], container["readinessProbe"]):
            program, _, command = probe["exec"]["command"]
            assert program in dockerfile
            assert command.split()[0] in dockerfile
            waits = sum(int(seconds) for seconds in re.findall(r"-T (\d+)", command))
            assert waits < probe["timeoutSeconds"]
        assert ("8000/-/healthz" in container["readinessProbe"]["exec"]["command"][2]) == (part != "head")
