"""Who may talk to whom: everything is forbidden first, and what must pass is allowed by name.

Nothing or a fleet comes in, NetworkPolicies go out. They need a network plugin that enforces them. KubeRay can make
some of its own (alpha in 1.7); these cover Redis and the Gateway as well.
"""

from serve_app.cluster.objects import (
    INGRESS_LABEL,
    MONITORING_LABEL,
    NAME,
    RAY_PARTS,
    Object,
    Part,
    kubernetes_object,
    pods_of,
)
from serve_app.cluster.pods import HEAD_METRICS_PORTS, HEAD_PORTS, WORKER_PORTS
from serve_app.cluster.redis import REDIS_PORT
from serve_app.cluster.serve_config import SERVE_PORT

GATEWAY_NAME = f"{NAME}-gateway"
"""As KubeRay calls the one it makes for an incremental upgrade."""
_EVERYWHERE: Object = {"namespaceSelector": {}}
_API_SERVER_PORTS = (443, 6443)
_DNS_PORT = 53
_OPERATOR: Object = {
    "namespaceSelector": {},
    "podSelector": {"matchLabels": {"app.kubernetes.io/component": "kuberay-operator"}},
}


def network_policies() -> tuple[Object, ...]:
    """Those that every fleet has."""
    dns = [{"protocol": protocol, "port": _DNS_PORT} for protocol in ("UDP", "TCP")]
    ray = [{"podSelector": pods_of(*RAY_PARTS)}]
    workers = pods_of(Part.ROUTER, Part.SCORER)
    metrics = sorted({HEAD_PORTS["metrics"], WORKER_PORTS["metrics"], *HEAD_METRICS_PORTS.values()})
    return (
        _policy("deny-all", {}, {"policyTypes": ["Ingress", "Egress"]}),
        # Wherever it is: node-local caches answer on an address that no pod has.
        _policy("dns", {}, {"egress": [{"ports": dns}]}),
        _policy("ray", pods_of(*RAY_PARTS), {"ingress": [{"from": ray}], "egress": [{"to": ray}]}),
        _policy(
            "operator",
            pods_of(Part.HEAD),
            {"ingress": [{"from": [_OPERATOR], "ports": _tcp(HEAD_PORTS["dashboard"], SERVE_PORT)}]},
        ),
        # The autoscaler beside the head; no selector names the API server.
        _policy("api-server", pods_of(Part.HEAD), {"egress": [{"ports": _tcp(*_API_SERVER_PORTS)}]}),
        _policy("ingress", workers, {"ingress": [{"from": [_namespaces(INGRESS_LABEL)], "ports": _tcp(SERVE_PORT)}]}),
        _policy(
            "metrics",
            pods_of(*RAY_PARTS),
            {"ingress": [{"from": [_namespaces(MONITORING_LABEL)], "ports": _tcp(*metrics)}]},
        ),
        _policy("redis", pods_of(Part.REDIS), {"ingress": [{"from": ray, "ports": _tcp(REDIS_PORT)}]}),
        _policy(
            "to-redis",
            pods_of(*RAY_PARTS),
            {"egress": [{"to": [{"podSelector": pods_of(Part.REDIS)}], "ports": _tcp(REDIS_PORT)}]},
        ),
    )


def hub_policy() -> Object:
    """For the Job that fetches weights: the hub's addresses change, so its port is all that can be said."""
    return _policy("hub", pods_of(Part.MODELS), {"egress": [{"ports": _tcp(443)}]})


def gateway_policies() -> tuple[Object, ...]:
    """For the Gateway's pods, which live in the fleet's namespace and carry the label that the Gateway API gives."""
    gateway = {"matchLabels": {"gateway.networking.k8s.io/gateway-name": GATEWAY_NAME}}
    workers = pods_of(Part.ROUTER, Part.SCORER)
    return (
        _policy(
            "gateway",
            gateway,
            {
                "ingress": [{"from": [_namespaces(INGRESS_LABEL)]}],
                # Its control plane is somewhere else in the cluster, on ports of its own.
                "egress": [{"to": [{"podSelector": workers}], "ports": _tcp(SERVE_PORT)}, {"to": [_EVERYWHERE]}],
            },
        ),
        _policy(
            "from-gateway", workers, {"ingress": [{"from": [{"podSelector": gateway}], "ports": _tcp(SERVE_PORT)}]}
        ),
    )


def _policy(name: str, pods: Object, rules: Object) -> Object:
    """Of the directions that it has rules for, unless it says which."""
    types = [direction.capitalize() for direction in ("ingress", "egress") if direction in rules]
    spec = {"podSelector": pods, "policyTypes": types, **rules}
    return kubernetes_object("networking.k8s.io/v1", "NetworkPolicy", f"{NAME}-{name}", {"spec": spec})


def _tcp(*ports: int) -> list[Object]:
    return [{"protocol": "TCP", "port": port} for port in ports]


def _namespaces(label: str) -> Object:
    return {"namespaceSelector": {"matchLabels": {label: "true"}}}
