"""The volume of weights, and the Job that fills it with `rerank pull`.

A fleet comes in; the claim, the Job and what lets it out to the hub go out. What is downloaded and checked, `rerank
pull` knows.
"""

from serve_app.cluster.clouds import V100_NODES
from serve_app.cluster.fleet import Fleet
from serve_app.cluster.network import hub_policy
from serve_app.cluster.objects import PART_LABEL, Object, Part, kubernetes_object
from serve_app.cluster.pods import MODELS_CLAIM, USER_ID, container_security, pod_security, variables
from serve_app.cluster.serve_config import MODELS_DIR

_SIZE = "20Gi"
"""All variants are 4.4 GB in fp32, and a pickle lies beside its safetensors while it is converted."""
_TRIES = 6
_KEPT_S = 3600
"""A Job cannot be changed: one that has ended goes away, so that the next image's may come."""


def models(fleet: Fleet) -> tuple[Object, ...]:
    """Nothing when all weights come with the image."""
    return (_claim(fleet), _job(fleet), hub_policy()) if fleet.pulled else ()


def _claim(fleet: Fleet) -> Object:
    spec: Object = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": _SIZE}}}
    if (storage_class := V100_NODES[fleet.cloud].storage_class) is not None:
        spec["storageClassName"] = storage_class
    return kubernetes_object("v1", "PersistentVolumeClaim", MODELS_CLAIM, {"spec": spec})


def _job(fleet: Fleet) -> Object:
    pod: Object = {
        "restartPolicy": "OnFailure",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security(USER_ID),
        "containers": [_container(fleet)],
        "volumes": [
            {"name": "tmp", "emptyDir": {}},
            {"name": "models", "persistentVolumeClaim": {"claimName": MODELS_CLAIM}},
        ],
    }
    template = {"metadata": {"labels": {PART_LABEL: Part.MODELS.value}}, "spec": pod}
    spec = {"backoffLimit": _TRIES, "ttlSecondsAfterFinished": _KEPT_S, "template": template}
    return kubernetes_object("batch/v1", "Job", MODELS_CLAIM, {"spec": spec})


def _container(fleet: Fleet) -> Object:
    quantity = {"cpu": "2", "memory": "4Gi"}
    return {
        "name": "pull",
        "image": fleet.image,
        # By name: what is not served need not be there, and some licences are unstated.
        "command": ["rerank", "pull", "--to", MODELS_DIR, *(variant.name for variant in fleet.pulled)],
        "env": [variable for variable in variables() if variable["name"] != "HF_HUB_OFFLINE"],
        "resources": {"requests": dict(quantity), "limits": dict(quantity)},
        "securityContext": container_security(),
        "volumeMounts": [
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
            {"name": "models", "mountPath": MODELS_DIR},
        ],
    }
