"""The fleet: what somebody wants to run, checked. It comes from the command line; every manifest is made from it.

It knows the catalog, and nothing of Kubernetes' objects.
"""

import math
import re
from dataclasses import dataclass, field
from enum import StrEnum

from serve_app.catalog import Catalog, Variant
from serve_app.cluster.clouds import Cloud
from serve_app.errors import ConfigurationError
from serve_app.routes import RouteTable
from serve_app.settings import Limits

PLACEHOLDER_IMAGE = f"registry.invalid/rerank-serve@sha256:{'0' * 64}"
"""Stands where nobody has named an image. `.invalid` is never a registry, so that it cannot start by mistake."""
DRAIN_MARGIN_S = 10
"""As in `serve_app/app.py`: how much longer than a request a replica may take to end."""
STOP_MARGIN_S = 20
"""For Ray itself to end, once its replicas have."""
_IMAGE = re.compile(r"[a-z0-9][\w./:-]*@sha256:[0-9a-f]{64}")
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")


class Upgrade(StrEnum):
    """How a new image comes into service."""

    NEW_CLUSTER = "new-cluster"
    """A second cluster starts beside the first, of full size, and takes all traffic at once."""
    INCREMENTAL = "incremental"
    """A second cluster grows while the first shrinks, and traffic moves by steps: needs the Gateway API."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Raises ConfigurationError when it cannot be."""

    catalog: Catalog
    """Of what is served, and nothing else."""
    chosen: tuple[str, ...]
    """Variants and cascades that were asked for by name, and start at once; empty when all are served."""
    cloud: Cloud
    image: str
    host: str
    """The DNS name that clients use."""
    most_gpus: int
    """V100s that the autoscaler may take."""
    upgrade: Upgrade
    gateway_class: str
    """Of the Gateway through which an incremental upgrade moves traffic."""
    limits: Limits
    routes: RouteTable = field(default_factory=RouteTable)
    """What the fleet starts with; empty leaves routes to `rerank routes`."""

    def __post_init__(self) -> None:
        if not _IMAGE.fullmatch(self.image):
            raise ConfigurationError(
                f"the image {self.image} can change while the fleet runs: name it by its digest, "
                "registry/name@sha256:…, which a push prints"
            )
        if not _HOST.fullmatch(self.host):
            raise ConfigurationError(f"the host {self.host!r} is no DNS name: it looks like rerank.example.com")
        if self.pulled and not self.on_gpus:
            names = ", ".join(variant.name for variant in self.pulled)
            raise ConfigurationError(
                f"the cloud `none` has no GPU and no volume of weights, which {names} would need: "
                "serve what comes with the package, or choose another cloud"
            )

    @property
    def on_gpus(self) -> bool:
        """Whether scorers run on V100s."""
        return self.cloud is not Cloud.NONE

    @property
    def routers(self) -> int:
        """Replicas of the router, each on a pod of its own; one pod is enough where nothing is at stake."""
        return 2 if self.on_gpus else 1

    @property
    def pulled(self) -> tuple[Variant, ...]:
        """The variants whose weights do not come with the image."""
        return tuple(variant for variant in self.catalog.variants.values() if not variant.bundled)

    @property
    def drain_s(self) -> int:
        """How long a pod that is stopped goes on, so that the longest request ends on it."""
        return math.ceil(self.limits.request_timeout_s) + DRAIN_MARGIN_S

    @property
    def grace_s(self) -> int:
        """After how long Kubernetes kills a pod that it stops."""
        return self.drain_s + STOP_MARGIN_S

    def at_once(self) -> tuple[Variant, ...]:
        """A variant for every replica that runs from the start, as `serve_app/app.py` deploys them."""
        needed = {variant.name for variant in self.catalog.variants_of(self.catalog.default_served)}
        replicas: list[Variant] = []
        for variant in self.catalog.variants.values():
            fewest = max(variant.serving.min_replicas, int(bool(self.chosen) or variant.name in needed))
            replicas += [variant] * fewest
        return tuple(replicas)
