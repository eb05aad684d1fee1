"""What applying manifests would change in a cluster, and doing it: manifests come in, changes go out, one an object.

Each is rehearsed by the API server itself, defaults, admission and conflicts included. It knows no kind but Jobs, which
cannot be changed, and those that belong to an operator which may not be there.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from serve_app.cluster.declared import carried_over
from serve_app.cluster.kube import Conflict, Kube, KubernetesError, NoSuchKind
from serve_app.cluster.objects import NAME, Object, cluster_object

MONITORING_GROUP = "monitoring.coreos.com/"
"""Kinds of the Prometheus operator, without which a fleet runs all the same."""
_BY_THE_SERVER = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")
TEMPORARY: tuple[tuple[str, str], ...] = (
    ("networking.k8s.io/v1", "Ingress"),
    ("ray.io/v1", "RayService"),
    ("batch/v1", "Job"),
    ("apps/v1", "StatefulSet"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("monitoring.coreos.com/v1", "PodMonitor"),
    ("monitoring.coreos.com/v1", "PrometheusRule"),
)
"""Kinds that can be made again from the catalog, in the order in which they go. Volumes and Secrets cannot."""


class Action(StrEnum):
    """What becomes of an object."""

    CREATE = "create"
    CHANGE = "change"
    REPLACE = "replace"
    """Deleted and made again, for it cannot be changed."""
    KEEP = "keep"
    SKIP = "skip"
    """The cluster has no such kind, and the fleet does without."""


@dataclass(frozen=True, slots=True)
class Change:
    """Of one object; before and after are without what the API server alone writes."""

    action: Action
    made: Object
    before: Object | None
    after: Object

    def __str__(self) -> str:
        return f"{self.made['kind']} {self.made['metadata']['name']}"


def rehearse(kube: Kube, objects: Sequence[Object], *, force: bool) -> Iterator[Change]:
    """Of each; raises KubernetesError for the first that the cluster would refuse, Conflict unless by force."""
    for made in objects:
        try:
            live = kube.read(made)
        except NoSuchKind:
            if not made["apiVersion"].startswith(MONITORING_GROUP):
                raise
            yield Change(Action.SKIP, made, None, made)
        else:
            kept = carried_over(made, live) if made["kind"] == "RayService" else made
            yield _change(kube, kept, live, force=force)


def perform(kube: Kube, changes: Iterable[Change], told: Callable[[Change], None], *, force: bool) -> None:
    """One after the other; `told` of each when it is done. Raises KubernetesError and leaves the rest."""
    for change in changes:
        if change.action is Action.REPLACE:
            kube.delete(change.made)
        if change.action not in {Action.KEEP, Action.SKIP}:
            kube.apply(change.made, force=force)
        told(change)


def temporary(kube: Kube) -> Iterator[Object]:
    """What of a fleet is in the cluster, and can be made again; kinds that it does not have are passed over."""
    for api_version, kind in TEMPORARY:
        try:
            yield from kube.listed(api_version, kind, f"app.kubernetes.io/part-of={NAME}")
        except NoSuchKind:
            continue


def whole(namespace: str, priority_class: str) -> tuple[Object, Object]:
    """The two objects with which everything goes, volumes and Secrets included."""
    return (
        cluster_object("v1", "Namespace", namespace, {}),
        cluster_object("scheduling.k8s.io/v1", "PriorityClass", priority_class, {}),
    )


def _change(kube: Kube, made: Object, live: Object | None, *, force: bool) -> Change:
    if live is None:
        return Change(Action.CREATE, made, None, made)
    before = _cleaned(live)
    try:
        after = _cleaned(kube.apply(made, rehearse=True, force=force))
    except Conflict:
        raise
    except KubernetesError:
        if made["kind"] != "Job":
            raise
        return Change(Action.REPLACE, made, before, made)
    return Change(Action.KEEP if before == after else Action.CHANGE, made, before, after)


def _cleaned(live: Object) -> Object:
    metadata = {key: value for key, value in live["metadata"].items() if key not in _BY_THE_SERVER}
    return {**{key: value for key, value in live.items() if key != "status"}, "metadata": metadata}
