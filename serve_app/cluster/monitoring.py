"""How a fleet is watched: what Prometheus reads, when it calls somebody, what Grafana shows.

Nothing comes in, objects go out; they need the Prometheus operator. The alerts and the panels are not known here.
"""

from serve_app.cluster.alerts import prometheus_rule
from serve_app.cluster.dashboard import dashboard_config
from serve_app.cluster.objects import NAME, PART_LABEL, RAY_PARTS, Object, kubernetes_object, pods_of
from serve_app.cluster.pods import HEAD_METRICS_PORTS

INTERVAL_S = 15


def monitoring() -> tuple[Object, ...]:
    """All of it."""
    return (pod_monitor(), prometheus_rule(), dashboard_config())


def pod_monitor() -> Object:
    """Every Ray pod; the head has the autoscaler's metrics and the dashboard's on ports of their own."""
    ports = ["metrics", *HEAD_METRICS_PORTS]
    spec = {
        "selector": pods_of(*RAY_PARTS),
        "podMetricsEndpoints": [{"port": port, "interval": f"{INTERVAL_S}s"} for port in ports],
        "podTargetLabels": [PART_LABEL, "ray.io/cluster", "ray.io/group"],
    }
    return kubernetes_object("monitoring.coreos.com/v1", "PodMonitor", NAME, {"spec": spec})
