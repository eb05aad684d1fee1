"""A fake of the Kubernetes API over real HTTP, for where no cluster is at hand: `-m cluster` has the real one.

It knows what the commands rely on: discovery, server-side apply with owners of fields and conflicts, rehearsals, merge
patches that a resource version guards, labels, logs. Simpler than the real one: lists are owned whole, nothing is
defaulted or admitted, and no operator works, so that a test puts a status into an object itself.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from serve_app.cluster.objects import Object

KINDS = {
    "v1": {
        "Namespace": ("namespaces", False),
        "Service": ("services", True),
        "ConfigMap": ("configmaps", True),
        "Secret": ("secrets", True),
        "Pod": ("pods", True),
        "PersistentVolumeClaim": ("persistentvolumeclaims", True),
    },
    "apps/v1": {"StatefulSet": ("statefulsets", True)},
    "batch/v1": {"Job": ("jobs", True)},
    "networking.k8s.io/v1": {"NetworkPolicy": ("networkpolicies", True), "Ingress": ("ingresses", True)},
    "policy/v1": {"PodDisruptionBudget": ("poddisruptionbudgets", True)},
    "scheduling.k8s.io/v1": {"PriorityClass": ("priorityclasses", False)},
    "ray.io/v1": {"RayService": ("rayservices", True), "RayCluster": ("rayclusters", True)},
    "monitoring.coreos.com/v1": {"PodMonitor": ("podmonitors", True), "PrometheusRule": ("prometheusrules", True)},
}
Leaf = tuple[str, ...]
FIXED: dict[str, Leaf] = {"Job": ("spec", "template"), "StatefulSet": ("spec", "serviceName")}
"""Fields that cannot be changed."""


@dataclass(frozen=True)
class Asked:
    """One request that came."""

    method: str
    path: str
    query: Mapping[str, str]
    content_type: str
    body: Any


class Refused(Exception):
    """A Status with this code."""

    def __init__(self, code: int, message: str, causes: list[dict[str, str]] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = {"kind": "Status", "message": message, "code": code, "details": {"causes": causes or []}}


@dataclass
class KubeApi:
    """Objects by their paths, with who owns which of their fields."""

    kinds: dict[str, dict[str, tuple[str, bool]]] = field(default_factory=lambda: deepcopy(KINDS))
    objects: dict[str, Object] = field(default_factory=dict)
    owners: dict[str, dict[Leaf, set[str]]] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    """By pod and container, with a slash between."""
    asked: list[Asked] = field(default_factory=list)
    forbidden: set[str] = field(default_factory=set)
    """Methods that the token does not allow."""
    version: int = 0

    def found(self, kind: str, name: str = "rerank") -> Object:
        """The object of this kind and name."""
        [found] = [each for each in self.objects.values() if (each["kind"], each["metadata"]["name"]) == (kind, name)]
        return found

    def put(self, made: Object) -> None:
        """As something else in the cluster makes it."""
        plural, namespaced = self.kinds[made["apiVersion"]][made["kind"]]
        inside = f"namespaces/{made['metadata']['namespace']}/" if namespaced else ""
        self._keep(f"{_root(made['apiVersion'])}/{inside}{plural}/{made['metadata']['name']}", deepcopy(made))

    def answer(self, asked: Asked) -> Any:
        """The JSON that is sent; raises Refused."""
        self.asked.append(asked)
        if asked.method in self.forbidden:
            raise Refused(403, f"the user may not {asked.method}")
        if (found := self._discovery(asked.path)) is not None:
            return found
        match asked.method:
            case "GET":
                return self._get(asked)
            case "PATCH":
                return self._patch(asked)
            case "DELETE":
                return self._delete(asked.path)
        raise Refused(405, f"no {asked.method} here")

    def _discovery(self, path: str) -> Any:
        if path == "/version":
            return {"major": "1", "minor": "36", "gitVersion": "v1.36.0"}
        if path == "/api":
            return {"versions": ["v1"]}
        if path == "/apis":
            return {"kind": "APIGroupList", "groups": [_group(each) for each in self.kinds if "/" in each]}
        for api_version, kinds in self.kinds.items():
            if path == _root(api_version):
                resources = [
                    {
                        "name": plural,
                        "kind": kind,
                        "namespaced": namespaced,
                        "verbs": ["get", "list", "patch", "delete"],
                    }
                    for kind, (plural, namespaced) in kinds.items()
                ]
                return {"kind": "APIResourceList", "groupVersion": api_version, "resources": resources}
        return None

    def _get(self, asked: Asked) -> Any:
        if asked.path.endswith("/log"):
            pod = asked.path.split("/")[-2]
            lines = self.logs[f"{pod}/{asked.query['container']}"].splitlines(keepends=True)
            return "".join(lines[-int(asked.query["tailLines"]) :])
        if asked.path in self.objects:
            return self.objects[asked.path]
        listed = [each for path, each in self.objects.items() if path.rpartition("/")[0] == asked.path]
        kind = next(
            (k for kinds in self.kinds.values() for k, (p, _) in kinds.items() if asked.path.endswith(f"/{p}")), ""
        )
        if not kind:
            raise Refused(404, f"{asked.path.rpartition('/')[2]} not found")
        wanted = dict(part.split("=") for part in asked.query.get("labelSelector", "").split(",") if part)
        items = [each for each in listed if wanted.items() <= each["metadata"].get("labels", {}).items()]
        return {"kind": f"{kind}List", "apiVersion": "v1", "metadata": {}, "items": items}

    def _patch(self, asked: Asked) -> Object:
        if asked.content_type == "application/merge-patch+json":
            return self._merge(asked)
        if asked.content_type == "application/apply-patch+yaml":
            return self._apply(asked)
        raise Refused(415, asked.content_type)

    def _merge(self, asked: Asked) -> Object:
        live = self._live(asked.path)
        if asked.body["metadata"].pop("resourceVersion") != live["metadata"]["resourceVersion"]:
            raise Refused(409, "the object has been modified")
        changed = _merged(live, asked.body)
        for leaf in _leaves(asked.body):
            self.owners[asked.path][leaf] = {asked.query["fieldManager"]}
        return self._keep(asked.path, changed)

    def _apply(self, asked: Asked) -> Object:
        manager, body = asked.query["fieldManager"], asked.body
        namespace, inside, _ = asked.path.partition("/namespaces/")[2].partition("/")
        if inside and f"/api/v1/namespaces/{namespace}" not in self.objects:
            raise Refused(404, f'namespaces "{namespace}" not found')
        live, owners = self.objects.get(asked.path, {}), self.owners.get(asked.path, {})
        leaves = _leaves(body)
        fixed = FIXED.get(live.get("kind", ""))
        if fixed and _at(live, fixed) != _at(body, fixed):
            raise Refused(422, f"{live['kind']} is invalid: {'.'.join(fixed)}: field is immutable")
        taken = {leaf: owners.get(leaf, set()) - {manager} for leaf in leaves if _at(live, leaf) != _at(body, leaf)}
        causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{owner}" using v1',
                "field": f".{'.'.join(leaf)}",
            }
            for leaf, others in taken.items()
            for owner in others
        ]
        if causes and asked.query.get("force", "").casefold() != "true":
            raise Refused(409, f"Apply failed with {len(causes)} conflicts", causes)
        gone = [leaf for leaf, who in owners.items() if who == {manager} and leaf not in leaves]
        kept = {leaf: who - {manager} for leaf, who in owners.items() if leaf not in gone}
        for leaf in leaves:
            kept[leaf] = {manager} | (kept.get(leaf, set()) if not taken.get(leaf) else set())
        changed: Object = _merged(_without(live, gone), body)
        if asked.query.get("dryRun") == "All":
            return _stamped(changed, asked.path, self.version + 1)
        self.owners[asked.path] = kept
        return self._keep(asked.path, changed)

    def _delete(self, path: str) -> Object:
        gone = self._live(path)
        for each in [each for each in self.objects if each == path or each.startswith(f"{path}/")]:
            self.objects.pop(each)
            self.owners.pop(each, None)
        namespace = path.removeprefix("/api/v1/namespaces/")
        if gone["kind"] == "Namespace":
            self.objects = {key: each for key, each in self.objects.items() if f"/namespaces/{namespace}/" not in key}
        return {"kind": "Status", "status": "Success"}

    def _live(self, path: str) -> Object:
        if path not in self.objects:
            raise Refused(404, f"{path.rpartition('/')[2]} not found")
        live: Object = self.objects[path]
        return live

    def _keep(self, path: str, made: Object) -> Object:
        self.version += 1
        self.objects[path] = _stamped(made, path, self.version)
        self.owners.setdefault(path, {})
        return self.objects[path]


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _group(api_version: str) -> Object:
    version = {"groupVersion": api_version, "version": api_version.partition("/")[2]}
    return {"name": api_version.partition("/")[0], "versions": [version], "preferredVersion": version}


def _stamped(made: Object, path: str, version: int) -> Object:
    written = {"resourceVersion": str(version), "managedFields": [{"manager": "somebody", "time": str(version)}]}
    return {**made, "metadata": {"uid": path, **made["metadata"], **written}}


def _leaves(value: Any, path: Leaf = ()) -> set[Leaf]:
    """Where an object has what is no object, but for what names it."""
    if isinstance(value, dict) and (value or not path):
        inner = {leaf for key, each in value.items() for leaf in _leaves(each, (*path, key))}
        return inner - {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
    return {path}


def _at(value: Any, leaf: Leaf) -> Any:
    for key in leaf:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _merged(live: Any, body: Any) -> Any:
    if not isinstance(live, dict) or not isinstance(body, dict):
        return deepcopy(body)
    return {**live, **{key: _merged(live.get(key), each) for key, each in body.items()}}


def _without(live: Object, leaves: list[Leaf]) -> Object:
    left = deepcopy(live)
    for *above, last in leaves:
        inner = _at(left, tuple(above))
        if isinstance(inner, dict):
            inner.pop(last, None)
    return left
