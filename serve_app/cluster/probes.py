"""How Kubernetes asks a Ray pod whether it lives, and whether it answers requests.

A part comes in, probes go out. They ask what KubeRay's own would, and wait longer: a node that computes on all cores
may take seconds to say so, and KubeRay's two seconds would take it out of service. Set here, they also stay the same
when the operator changes.
"""

from serve_app.cluster.objects import Object, Part
from serve_app.cluster.serve_config import SERVE_PORT

AGENT_PORT = 52365
DASHBOARD_PORT = 8265
_TIMEOUT_S = 5


def liveness(part: Part) -> Object:
    """Ten minutes of silence: what is restarted loses its replicas, and a head may wait for its Redis."""
    return {**_asks(*_alive(part)), "initialDelaySeconds": 30, "periodSeconds": 10, "failureThreshold": 60}


def readiness(part: Part) -> Object:
    """A worker is ready when its proxy answers; one failure is no reason to send requests elsewhere, three are."""
    serves = () if part is Part.HEAD else ((SERVE_PORT, "-/healthz"),)
    return {**_asks(*_alive(part), *serves), "initialDelaySeconds": 10, "periodSeconds": 5, "failureThreshold": 3}


def _alive(part: Part) -> tuple[tuple[int, str], ...]:
    raylet = (AGENT_PORT, "api/local_raylet_healthz")
    return (raylet, (DASHBOARD_PORT, "api/gcs_healthz")) if part is Part.HEAD else (raylet,)


def _asks(*places: tuple[int, str]) -> Object:
    # An HTTP probe asks one port, and these are several; the body must say so as well as the status.
    asked = [f"wget --tries 1 -T {_TIMEOUT_S} -q -O- http://localhost:{port}/{path}" for port, path in places]
    command = " && ".join(f"{ask} | grep -q success" for ask in asked)
    return {"exec": {"command": ["bash", "-c", command]}, "timeoutSeconds": _TIMEOUT_S * len(places) + 1}
