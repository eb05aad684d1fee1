"""The Redis of a fleet: what Ray's head must remember when it restarts, rate limits that routers share, the ledger.

Nothing comes in; a StatefulSet with a volume and its Service go out. One Redis: while it restarts, routers answer and
count later, and Ray's head waits for it. A managed one in its place needs its address in `serve_config.py` alone.
"""

from serve_app.cluster.objects import NAME, PART_LABEL, Object, Part, kubernetes_object
from serve_app.cluster.pods import PRIORITY_CLASS, REDIS_SECRET, container_security, pod_security

REDIS_IMAGE = "docker.io/library/redis:8.2"
REDIS_NAME = f"{NAME}-redis"
REDIS_PORT = 6379
_USER_ID = 999
"""`redis` in that image."""
_MEMORY = "2Gi"


def redis() -> tuple[Object, ...]:
    """Its objects."""
    selector = {PART_LABEL: Part.REDIS.value}
    service = {"clusterIP": "None", "selector": selector, "ports": [{"name": "redis", "port": REDIS_PORT}]}
    claim = {
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
    }
    stateful_set: Object = {
        "serviceName": REDIS_NAME,
        "replicas": 1,
        "selector": {"matchLabels": selector},
        "template": {"metadata": {"labels": selector}, "spec": _pod()},
        "volumeClaimTemplates": [claim],
    }
    return (
        kubernetes_object("v1", "Service", REDIS_NAME, {"spec": service}),
        kubernetes_object("apps/v1", "StatefulSet", REDIS_NAME, {"spec": stateful_set}),
    )


def _pod() -> Object:
    return {
        "securityContext": pod_security(_USER_ID),
        "priorityClassName": PRIORITY_CLASS,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "containers": [_container()],
    }


def _container() -> Object:
    password = {"valueFrom": {"secretKeyRef": {"name": REDIS_SECRET, "key": "password"}}}
    quantity = {"cpu": "500m", "memory": _MEMORY}
    # Every write is in the file after a second at most. Nothing is evicted: a key that is gone is usage not billed.
    options = "--requirepass $(REDIS_PASSWORD) --appendonly yes --appendfsync everysec --maxmemory-policy noeviction"
    probe = {"exec": {"command": ["sh", "-c", "redis-cli ping | grep -q PONG"]}, "timeoutSeconds": 5}
    return {
        "name": "redis",
        "image": REDIS_IMAGE,
        "args": ["redis-server", *options.split()],
        "env": [{"name": "REDIS_PASSWORD", **password}, {"name": "REDISCLI_AUTH", **password}],
        "ports": [{"name": "redis", "containerPort": REDIS_PORT}],
        "resources": {"requests": dict(quantity), "limits": dict(quantity)},
        "securityContext": container_security(),
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "livenessProbe": {**probe, "initialDelaySeconds": 60, "periodSeconds": 10, "failureThreshold": 6},
        "readinessProbe": {**probe, "periodSeconds": 5},
    }
