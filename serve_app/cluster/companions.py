"""What a fleet has beside its RayService and Redis: a namespace, a priority, disruption budgets, the way in.

A fleet comes in where it makes a difference; objects go out. It knows nothing of Ray.
"""

from serve_app.cluster.fleet import Fleet, Upgrade
from serve_app.cluster.network import GATEWAY_NAME
from serve_app.cluster.objects import NAME, NAMESPACE, Object, Part, cluster_object, kubernetes_object, pods_of
from serve_app.cluster.pods import PRIORITY_CLASS
from serve_app.cluster.serve_config import SERVE_PORT

TLS_SECRET = f"{NAME}-tls"
SERVE_SERVICE = f"{NAME}-serve-svc"
"""As KubeRay calls the service of whichever cluster is in service."""
_GATEWAY_PORT = 80
_KIBIBYTE = 1024


def namespace() -> Object:
    """Pods that ask for more than an unprivileged user has are refused in it."""
    made = cluster_object("v1", "Namespace", NAMESPACE, {})
    made["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted"
    return made


def priority_class() -> Object:
    """Above batch work, which shares the GPUs of many clusters; below what the cluster itself needs."""
    body = {
        "value": 100_000,
        "globalDefault": False,
        "description": "Answers requests: pods of no priority make room for it.",
    }
    return cluster_object("scheduling.k8s.io/v1", "PriorityClass", PRIORITY_CLASS, body)


def disruption_budgets() -> tuple[Object, ...]:
    """A node may be emptied as long as one router and one scorer stay.

    The head has none: there is only one, and its restart, which the cluster survives, could never be allowed.
    """
    return tuple(
        kubernetes_object(
            "policy/v1",
            "PodDisruptionBudget",
            f"{NAME}-{part.value}s",
            # A number of pods: percentages need a controller that says how many there should be, and Ray's does not.
            {"spec": {"minAvailable": 1, "selector": pods_of(part), "unhealthyPodEvictionPolicy": "AlwaysAllow"}},
        )
        for part in (Part.ROUTER, Part.SCORER)
    )


def ingress(fleet: Fleet) -> Object:
    """HTTPS from outside to the service, or, while upgrades are incremental, to the Gateway that divides traffic."""
    service, port = SERVE_SERVICE, SERVE_PORT
    if fleet.upgrade is Upgrade.INCREMENTAL:
        # KubeRay's Gateway speaks HTTP alone, so TLS ends before it. GEP-1762 gives its service this name.
        service, port = f"{GATEWAY_NAME}-{fleet.gateway_class}", _GATEWAY_PORT
    backend = {"service": {"name": service, "port": {"number": port}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    made = kubernetes_object(
        "networking.k8s.io/v1",
        "Ingress",
        NAME,
        {
            "spec": {
                "tls": [{"hosts": [fleet.host], "secretName": TLS_SECRET}],
                "rules": [{"host": fleet.host, "http": {"paths": [path]}}],
            }
        },
    )
    made["metadata"]["annotations"] = _limits_of_the_way_in(fleet)
    return made


def _limits_of_the_way_in(fleet: Fleet) -> dict[str, str]:
    """A proxy with smaller limits than ours would answer in our place. Other controllers: k8s/README.md."""
    prefix = "nginx.ingress.kubernetes.io"
    kibibytes = -(-fleet.limits.max_body_bytes // _KIBIBYTE)
    return {
        f"{prefix}/proxy-body-size": f"{kibibytes}k",
        f"{prefix}/proxy-read-timeout": str(fleet.drain_s),
        f"{prefix}/proxy-send-timeout": str(fleet.drain_s),
    }
