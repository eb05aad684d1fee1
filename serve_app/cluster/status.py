"""What a fleet on Kubernetes is at: objects as the cluster has them come in, one picture of them goes out.

It reads the RayService's conditions, the applications of its Ray clusters, how many pods each group has, and why a pod
is not ready. It asks nobody, and prints nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from serve_app.cluster.objects import PART_LABEL, Object

READY = "Ready"
RUNNING = "RUNNING"


@dataclass(frozen=True, slots=True)
class Condition:
    """One that the operator reports of the RayService."""

    name: str
    holds: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Deployment:
    """A variant's, the router's, or the desk's, in one of the Ray clusters."""

    name: str
    cluster: str
    status: str
    message: str


@dataclass(frozen=True, slots=True)
class Group:
    """Worker pods of one kind in one Ray cluster."""

    name: str
    cluster: str
    ready: int
    wanted: int
    fewest: int
    most: int


@dataclass(frozen=True, slots=True)
class Pod:
    """Any of the fleet's."""

    part: str
    name: str
    node: str
    ready: bool
    why: str
    """It is not ready; empty when it is."""


@dataclass(frozen=True, slots=True)
class FleetStatus:
    """All of it, at one moment."""

    conditions: Sequence[Condition]
    deployments: Sequence[Deployment]
    groups: Sequence[Group]
    pods: Sequence[Pod]

    @property
    def ready(self) -> bool:
        """Whether the operator says that the service answers."""
        return any(condition.name == READY and condition.holds for condition in self.conditions)


def fleet_status(rayservice: Object, clusters: Iterable[Object], pods: Sequence[Object]) -> FleetStatus:
    """RayService, its RayClusters and all pods of the namespace, as the API server has them."""
    status: Object = rayservice.get("status") or {}
    sides = [side for key in ("activeServiceStatus", "pendingServiceStatus") if (side := status.get(key))]
    names = [side.get("rayClusterName", "") for side in sides]
    return FleetStatus(
        [_condition(each) for each in status.get("conditions", ())],
        [deployment for side in sides for deployment in _deployments(side)],
        [group for cluster in clusters if cluster["metadata"]["name"] in names for group in _groups(cluster, pods)],
        sorted((_pod(pod) for pod in pods), key=lambda pod: (pod.part, pod.name)),
    )


def why_not_ready(pod: Object) -> str:
    """What keeps a pod from being ready, in the words of whoever knows; empty where nothing does."""
    status: Object = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp"):
        return "it is being stopped"
    if status.get("phase") in {"Succeeded", "Failed"}:
        return _ended(status)
    conditions = {each["type"]: each for each in status.get("conditions", ())}
    if conditions.get("PodScheduled", {}).get("status") == "False":
        return str(conditions["PodScheduled"].get("message", "no node takes it"))
    waits = [_waits(each, init=True) for each in status.get("initContainerStatuses", ())]
    waits += [_waits(each, init=False) for each in status.get("containerStatuses", ())]
    if found := next((wait for wait in waits if wait), ""):
        return found
    if conditions.get(READY, {}).get("status") != "True":
        return str(conditions.get(READY, {}).get("message") or "it has just been made")
    return ""


def _condition(told: Mapping[str, Any]) -> Condition:
    return Condition(told["type"], told["status"] == "True", told.get("reason", ""), told.get("message", ""))


def _deployments(side: Object) -> Iterable[Deployment]:
    for application in side.get("applicationStatuses", {}).values():
        cluster, status = side.get("rayClusterName", ""), application.get("status", "")
        if status != RUNNING or not application.get("serveDeploymentStatuses"):
            yield Deployment("(the application)", cluster, status, application.get("message", ""))
        for name, deployment in application.get("serveDeploymentStatuses", {}).items():
            yield Deployment(name, cluster, deployment.get("status", ""), deployment.get("message", ""))


def _groups(cluster: Object, pods: Sequence[Object]) -> Iterable[Group]:
    name = cluster["metadata"]["name"]
    for group in cluster["spec"].get("workerGroupSpecs", ()):
        labels = {"ray.io/cluster": name, "ray.io/group": group["groupName"]}
        own = [pod for pod in pods if labels.items() <= pod["metadata"].get("labels", {}).items()]
        ready = sum(not why_not_ready(pod) for pod in own)
        bounds = (group.get("replicas", 0), group.get("minReplicas", 0), group.get("maxReplicas", 0))
        yield Group(group["groupName"], name, ready, *bounds)


def _pod(pod: Object) -> Pod:
    metadata = pod["metadata"]
    why = why_not_ready(pod)
    done = pod.get("status", {}).get("phase") == "Succeeded"
    node = pod.get("spec", {}).get("nodeName") or ""
    return Pod(metadata.get("labels", {}).get(PART_LABEL, ""), metadata["name"], node, not why or done, why)


def _waits(container: Object, *, init: bool) -> str:
    name, state = container["name"], container.get("state", {})
    if waiting := state.get("waiting"):
        told = waiting.get("message")
        return f"{name}: {waiting.get('reason', 'waits')}" + (f": {told}" if told else "")
    if init and "running" in state:
        return f"{name} is at work, and the pod waits for it"
    if not init and (ended := state.get("terminated")):
        return f"{name}: ended with {ended.get('exitCode')} ({ended.get('reason', '')})"
    return ""


def _ended(status: Object) -> str:
    if status["phase"] == "Succeeded":
        return "done"
    return str(status.get("message") or status.get("reason") or "failed; its log says why")
