"""What else a fleet of a size needs than GPUs, and what of it breaks first: traffic and V100s in, a list of parts out.

Figures are Ray's and our own, each with where it is from. Pure. What one only adds more of has no limit; the others' is
how far somebody has measured, and beyond it nobody knows.
"""

import math
from dataclasses import dataclass

from serve_app.autoscaling import Pacing

ROUTER_CPU_S = 0.0032
"""Of a request of 10 documents (`loadtest/results/overhead.md`); 100 add little beside Ray's own part."""
HAPROXY_CPU_S = 0.0008
"""Of a request, with what Ray has beside it to watch over it; one is on each node that has replicas."""
BUSY = 0.7
"""Part of a core's time that is planned with."""
MOST_NODES = 3_000
MOST_ACTORS = 20_000
MOST_REPLICAS = 8_192
MOST_REPORTS_PER_S = MOST_REPLICAS / 10
ENVELOPE = "ray, release/benchmarks/README.md"
CONTROLLER = "github.com/ray-project/ray/pull/65371"
OURS = "loadtest/results/overhead.md"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the fleet: how many or how much of it is needed, and up to where it is known to hold."""

    name: str
    needed: float
    unit: str
    known_to_hold: float | None
    source: str
    way_out: str

    @property
    def used(self) -> float:
        """How much of what is known to hold is needed; 0 where one adds more of it."""
        return 0.0 if self.known_to_hold is None else self.needed / self.known_to_hold


@dataclass(frozen=True, slots=True)
class Size:
    """A fleet to be looked at."""

    requests_per_s: float
    replicas: int
    v100s: int
    v100s_per_node: int


def parts(size: Size) -> list[Part]:
    """What is needed, what is closest to its limit first."""
    routers = max(2, math.ceil(size.requests_per_s * ROUTER_CPU_S / BUSY))
    nodes = math.ceil(size.v100s / size.v100s_per_node)
    every_s = Pacing.of(size.replicas).report_every_s
    reports = (size.replicas + routers) / every_s  # of each router's handle as well
    found = [
        Part("head: GPU nodes", nodes, "nodes", MOST_NODES, ENVELOPE, "more V100s a node, then a second cluster"),
        Part("GCS: actors", size.replicas + routers + nodes, "actors", MOST_ACTORS, ENVELOPE, "a second cluster"),
        Part("controller: replicas", size.replicas, "replicas", MOST_REPLICAS, CONTROLLER, "a larger gpu_share"),
        Part("controller: reports", reports, "a second", MOST_REPORTS_PER_S, CONTROLLER, "a second cluster"),
        Part("router: replicas", routers, "cores", None, OURS, "router_replicas, on CPU nodes"),
        Part("HAProxy", size.requests_per_s * HAPROXY_CPU_S / BUSY, "cores", nodes, OURS, "more nodes with replicas"),
    ]
    return sorted(found, key=lambda part: -part.used)
