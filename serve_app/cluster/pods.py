"""The pods of the Ray cluster: a part of it comes in, its pod template goes out.

What all pods have in common is here: an unprivileged user, nothing writable but volumes, a long goodbye. Which groups
of pods there are, and how many, is not known.
"""

from collections.abc import Mapping
from typing import Any

from serve_app.cluster.clouds import V100_NODES
from serve_app.cluster.fleet import Fleet
from serve_app.cluster.objects import NAME, PART_LABEL, Object, Part
from serve_app.cluster.probes import liveness, readiness
from serve_app.cluster.serve_config import KEYS_FILE, MODELS_DIR, REDIS_PASSWORD_FILE, SERVE_PORT
from serve_app.ingress import WAY_IN

USER_ID = 1000
"""As in k8s/Dockerfile."""
KEYS_SECRET = f"{NAME}-keys"
REDIS_SECRET = f"{NAME}-redis"
MODELS_CLAIM = f"{NAME}-models"
PRIORITY_CLASS = f"{NAME}-serving"

HEAD_PORTS = {"gcs-server": 6379, "dashboard": 8265, "client": 10001, "serve": SERVE_PORT, "metrics": 8080}
HEAD_METRICS_PORTS = {"as-metrics": 44217, "dash-metrics": 44227}
WORKER_PORTS = {"serve": SERVE_PORT, "metrics": 8080}

_DRAIN_ASKED_S = 15
_LEAVING = {"RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "5"}
"""Until the HAProxy of every node knows that a router goes."""
_SECRET_MODE = 0o440
_CPUS_AND_MEMORY = {Part.HEAD: ("2", "8Gi"), Part.ROUTER: ("2", "4Gi"), Part.SCORER: ("5", "20Gi")}
_SMALL = {Part.HEAD: ("1", "4Gi"), Part.ROUTER: ("1", "2Gi"), Part.SCORER: ("1", "3Gi")}
"""Where there is no GPU: for one node of somebody's own machine."""


def container_security() -> Object:
    """What the `restricted` Pod Security Standard asks of a container, and a root filesystem that nobody writes."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def pod_security(user_id: int) -> Object:
    """What it asks of a pod; volumes are writable for the group."""
    return {
        "runAsNonRoot": True,
        "runAsUser": user_id,
        "runAsGroup": user_id,
        "fsGroup": user_id,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def pod_template(fleet: Fleet, part: Part) -> Object:
    """The template of pods that are for `part`; KubeRay adds Ray's own command, volumes and variables."""
    spec: Object = {
        "securityContext": pod_security(USER_ID),
        "priorityClassName": PRIORITY_CLASS,
        "terminationGracePeriodSeconds": fleet.grace_s,
        "enableServiceLinks": False,  # a service's variables look like settings of ours: RERANK_REDIS_PORT
        "containers": [_container(fleet, part)],
        "volumes": _volumes(fleet, part),
    }
    if part is not Part.HEAD:
        spec["automountServiceAccountToken"] = False  # the head's autoscaler alone talks to the API server
        spec["topologySpreadConstraints"] = _spread(part)
    if part is Part.SCORER and fleet.on_gpus:
        nodes = V100_NODES[fleet.cloud]
        spec["nodeSelector"] = {nodes.label: nodes.value}
        spec["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    if part is Part.SCORER and fleet.pulled:
        spec["initContainers"] = [_wait_for_weights(fleet)]
    return {"metadata": {"labels": {PART_LABEL: part.value}}, "spec": spec}


def variables() -> list[Object]:
    """Environment of everything that runs the image."""
    given = {
        "HOME": "/tmp",  # noqa: S108 - a volume of the pod's own; the image's home cannot be written
        "HF_HUB_OFFLINE": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_LOG_TO_STDERR": "1",  # or what replicas log lies in files of a pod that goes away
        "RAY_SERVE_USE_PACK_SCHEDULING_STRATEGY": "1",  # or replicas spread, and leave no GPU free for a large one
    }
    return _environment(given)


def _environment(given: Mapping[str, str]) -> list[Object]:
    """A container's variables."""
    return [{"name": name, "value": value} for name, value in given.items()]


def _container(fleet: Fleet, part: Part) -> Object:
    cpus, memory = (_CPUS_AND_MEMORY if fleet.on_gpus else _SMALL)[part]
    quantity = {"cpu": cpus, "memory": memory}
    if part is Part.SCORER and fleet.on_gpus:
        quantity["nvidia.com/gpu"] = "1"
    ports = {**HEAD_PORTS, **HEAD_METRICS_PORTS} if part is Part.HEAD else WORKER_PORTS
    container: Object = {
        "name": f"ray-{part.value}",
        "image": fleet.image,
        "env": [*variables(), *_environment({**WAY_IN, **_LEAVING})],
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
        "resources": {"requests": dict(quantity), "limits": dict(quantity)},
        "securityContext": container_security(),
        "volumeMounts": _mounts(fleet, part),
        "livenessProbe": liveness(part),
        "readinessProbe": readiness(part),
    }
    if part is not Part.HEAD:
        container["lifecycle"] = {"preStop": {"exec": {"command": ["bash", "-c", _drain(fleet)]}}}
    return container


def _drain(fleet: Fleet) -> str:
    """Ray gives a node that is drained no new replicas, starts others elsewhere, and lets those here end requests.

    Without it the pod's end is a crash to Ray: what its replicas were doing is lost. Where the head is gone as well,
    nobody answers the command, and it must not take the time that requests have.
    """
    return (
        f"timeout {_DRAIN_ASKED_S} "
        'ray drain-node --address "$RAY_ADDRESS" --reason DRAIN_NODE_REASON_PREEMPTION '
        f'--reason-message "the pod is being stopped" --deadline-remaining-seconds {fleet.drain_s}; '
        f"sleep {fleet.drain_s}"
    )


def _volumes(fleet: Fleet, part: Part) -> list[Object]:
    volumes: list[Object] = [
        {"name": "tmp", "emptyDir": {}},
        {"name": "keys", "secret": {"secretName": KEYS_SECRET, "defaultMode": _SECRET_MODE}},
        {"name": "redis", "secret": {"secretName": REDIS_SECRET, "defaultMode": _SECRET_MODE}},
    ]
    if part is Part.SCORER and fleet.pulled:
        volumes.append({"name": "models", "persistentVolumeClaim": {"claimName": MODELS_CLAIM, "readOnly": True}})
    return volumes


def _mounts(fleet: Fleet, part: Part) -> list[Object]:
    """Secrets are on every pod: Ray builds the application, which reads them, on whichever node it likes."""
    secrets = {"keys": KEYS_FILE, "redis": REDIS_PASSWORD_FILE}
    mounts: list[Object] = [{"name": "tmp", "mountPath": "/tmp"}]  # noqa: S108 - as above
    mounts += [{"name": name, "mountPath": file.rpartition("/")[0], "readOnly": True} for name, file in secrets.items()]
    if part is Part.SCORER and fleet.pulled:
        mounts.append({"name": "models", "mountPath": MODELS_DIR, "readOnly": True})
    return mounts


def _wait_for_weights(fleet: Fleet) -> Object:
    """`rerank pull` gives a folder its name when it is whole; those of the variants that start at once are enough."""
    folders = dict.fromkeys(f"{MODELS_DIR}/{v.folder}" for v in fleet.at_once() if not v.bundled)
    wait = f"until ls -d {' '.join(folders)}; do echo 'waiting for the weights'; sleep 5; done"
    quantity = {"cpu": "100m", "memory": "64Mi"}
    return {
        "name": "wait-for-weights",
        "image": fleet.image,
        "command": ["bash", "-c", wait if folders else "true"],
        "resources": {"requests": dict(quantity), "limits": dict(quantity)},
        "securityContext": container_security(),
        "volumeMounts": [{"name": "models", "mountPath": MODELS_DIR, "readOnly": True}],
    }


def _spread(part: Part) -> list[Object]:
    """Over zones where there are some; routers over nodes as well, as far as there are nodes."""
    keys = ["topology.kubernetes.io/zone"] + (["kubernetes.io/hostname"] if part is Part.ROUTER else [])
    constraint: dict[str, Any] = {
        "maxSkew": 1,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": {PART_LABEL: part.value}},
        "matchLabelKeys": ["ray.io/cluster"],  # while an upgrade runs, each of the two clusters by itself
    }
    return [{"topologyKey": key, **constraint} for key in keys]
