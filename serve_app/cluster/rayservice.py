"""The RayService: the fleet comes in, the object that KubeRay makes a Ray cluster of goes out.

It knows which groups of pods there are and how many; what a pod is, `pods.py` knows.
"""

from serve_app.cluster.declared import config_text
from serve_app.cluster.fleet import Fleet, Upgrade
from serve_app.cluster.objects import NAME, PART_LABEL, Object, Part, kubernetes_object
from serve_app.cluster.placement import place
from serve_app.cluster.pods import REDIS_SECRET, container_security, pod_template
from serve_app.cluster.serve_config import REDIS_ADDRESS, serve_config

RAY_VERSION = "2.60.0"
"""As in constraints.txt, from which the image is made."""
SCORER_IDLE_S = 600
"""A GPU node takes minutes to come: one that was just used is kept for the next crowd."""
OTHER_IDLE_S = 120
_SURGE_ROUTERS = 2
"""Pods beyond the routers' own, for replicas that move."""


def rayservice(fleet: Fleet) -> Object:
    """Raises ConfigurationError when what starts at once does not fit the GPUs that there may be."""
    spec: Object = {
        "upgradeStrategy": _upgrade_strategy(fleet),
        # The head has no CPUs for replicas: it is where the cluster is run from, and requests have no business there.
        "excludeHeadPodFromServeSvc": True,
        "serveConfigV2": config_text(serve_config(fleet)),
        "rayClusterConfig": _cluster(fleet),
    }
    return kubernetes_object("ray.io/v1", "RayService", NAME, {"spec": spec})


def _upgrade_strategy(fleet: Fleet) -> Object:
    if fleet.upgrade is Upgrade.NEW_CLUSTER:
        return {"type": "NewCluster"}
    return {
        "type": "NewClusterWithIncrementalUpgrade",
        "clusterUpgradeOptions": {
            "gatewayClassName": fleet.gateway_class,
            # One step is one in four of a small fleet's GPUs; a step that is larger than the surge is refused.
            "stepSizePercent": 25,
            "maxSurgePercent": 25,
            "intervalSeconds": 60,
        },
    }


def _cluster(fleet: Fleet) -> Object:
    secret = {"valueFrom": {"secretKeyRef": {"name": REDIS_SECRET, "key": "password"}}}
    return {
        "rayVersion": RAY_VERSION,
        # Ray's default has changed with its version, so it is said: pods without the cluster's token are turned away.
        "authOptions": {"mode": "token"},
        "gcsFaultToleranceOptions": {"redisAddress": REDIS_ADDRESS, "redisPassword": secret},
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": _autoscaler(),
        "headGroupSpec": {
            "rayStartParams": {"num-cpus": "0", "dashboard-host": "0.0.0.0"},  # noqa: S104 - KubeRay asks it there
            "template": pod_template(fleet, Part.HEAD),
        },
        "workerGroupSpecs": [_routers(fleet), _scorers(fleet)],
    }


def _autoscaler() -> Object:
    quantity = {"cpu": "500m", "memory": "1Gi"}
    return {
        "version": "v2",
        "idleTimeoutSeconds": OTHER_IDLE_S,
        "upscalingMode": "Default",
        "resources": {"requests": dict(quantity), "limits": dict(quantity)},
        "securityContext": container_security(),
        "env": [{"name": "HOME", "value": "/tmp"}],  # noqa: S108 - a volume of the pod's own
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }


def _routers(fleet: Fleet) -> Object:
    most = fleet.routers + (_SURGE_ROUTERS if fleet.on_gpus else 0)
    return _group(fleet, Part.ROUTER, fleet.routers, most, OTHER_IDLE_S)


def _scorers(fleet: Fleet) -> Object:
    if not fleet.on_gpus:
        return _group(fleet, Part.SCORER, 1, 2, OTHER_IDLE_S)
    return _group(fleet, Part.SCORER, len(place(fleet.at_once(), fleet.most_gpus)), fleet.most_gpus, SCORER_IDLE_S)


def _group(fleet: Fleet, part: Part, fewest: int, most: int, idle_s: int) -> Object:
    return {
        "groupName": f"{part.value}s",
        "replicas": fewest,
        "minReplicas": fewest,
        "maxReplicas": most,
        "numOfHosts": 1,
        "idleTimeoutSeconds": idle_s,
        "labels": {PART_LABEL: part.value},
        "rayStartParams": {},
        "template": pod_template(fleet, part),
    }
