"""All manifests of a fleet, as a kustomize tree: what every fleet has, how it is watched, and what is its own.

A fleet comes in; files go out, as objects by their paths. Writing them, and YAML, are the command's. `base` and
`monitoring` depend on nothing that somebody may choose, so that fleets share them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from serve_app.cluster.clouds import Cloud
from serve_app.cluster.companions import disruption_budgets, ingress, namespace, priority_class
from serve_app.cluster.fleet import Fleet, Upgrade
from serve_app.cluster.models import models
from serve_app.cluster.monitoring import monitoring
from serve_app.cluster.network import gateway_policies, network_policies
from serve_app.cluster.objects import Object
from serve_app.cluster.rayservice import rayservice
from serve_app.cluster.redis import redis

KUSTOMIZATION = "kustomization.yaml"
Files = Mapping[str, Sequence[Object]]
"""By name; each file holds one object or more."""


@dataclass(frozen=True, slots=True)
class Tree:
    """Folders of a kustomize tree: each is `kubectl apply -k`'s argument."""

    base: Files
    monitoring: Files
    overlay: Files
    overlay_name: str

    def files(self) -> dict[str, Sequence[Object]]:
        """Every file by its path in the tree, with the kustomizations."""
        here = f"overlays/{self.overlay_name}"
        needed = ["../../base"] + (["../../monitoring"] if self.monitoring else [])
        found = {f"{here}/{name}": objects for name, objects in self.overlay.items()}
        found[f"{here}/{KUSTOMIZATION}"] = [_kustomization([*needed, *self.overlay])]
        for folder, files in (("base", self.base), ("monitoring", self.monitoring)):
            if files:
                found |= {f"{folder}/{name}": objects for name, objects in files.items()}
                found[f"{folder}/{KUSTOMIZATION}"] = [_kustomization(list(files))]
        return found

    def objects(self) -> list[Object]:
        """What all of it makes in the cluster, the namespace first."""
        return [
            each
            for files in (self.base, self.monitoring, self.overlay)
            for objects in files.values()
            for each in objects
        ]


def manifests(fleet: Fleet) -> Tree:
    """Raises ConfigurationError when what starts at once does not fit the GPUs that there may be."""
    base = {
        "namespace.yaml": [namespace(), priority_class()],
        "redis.yaml": redis(),
        "network-policies.yaml": network_policies(),
        "disruption-budgets.yaml": disruption_budgets(),
    }
    watched = {"monitoring.yaml": monitoring()} if fleet.on_gpus else {}  # a trial has no Prometheus operator
    overlay = {"rayservice.yaml": [rayservice(fleet)], "ingress.yaml": [ingress(fleet)]}
    if weights := models(fleet):
        overlay["models.yaml"] = [*weights]
    if fleet.upgrade is Upgrade.INCREMENTAL:
        overlay["gateway.yaml"] = [*gateway_policies()]
    return Tree(base, watched, overlay, overlay_name(fleet.cloud, fleet.upgrade))


def overlay_name(cloud: Cloud, upgrade: Upgrade) -> str:
    """Its folder under `overlays`."""
    if upgrade is Upgrade.INCREMENTAL:
        return "incremental-upgrade"
    return "cpu-dev" if cloud is Cloud.NONE else f"v100-{cloud.value}"


def _kustomization(resources: list[str]) -> Object:
    return {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": resources}
