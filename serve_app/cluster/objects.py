"""A Kubernetes object as a dict, and the words that objects use of each other.

Kind, name and body come in; the object with the fleet's namespace and labels goes out. It knows no kind's fields.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

Object = dict[str, Any]
"""As YAML and JSON write it."""

NAME = "rerank"
"""Of the RayService, and the beginning of everything else's name."""
NAMESPACE = "rerank"
PART_LABEL = "rerank-part"
"""Says what a pod is for; Ray's label of that name says it of the node, so that both choose by the same word."""
INGRESS_LABEL = "rerank-ingress"
"""A namespace that has it set to "true" may send requests."""
MONITORING_LABEL = "rerank-monitoring"
"""A namespace that has it set to "true" may read metrics."""


class Part(StrEnum):
    """What a pod is for."""

    HEAD = "head"
    ROUTER = "router"
    SCORER = "scorer"
    REDIS = "redis"
    MODELS = "models"


RAY_PARTS = (Part.HEAD, Part.ROUTER, Part.SCORER)
"""Those that make up the Ray cluster."""


def kubernetes_object(api_version: str, kind: str, name: str, body: Mapping[str, Any]) -> Object:
    """An object in the fleet's namespace."""
    made = cluster_object(api_version, kind, name, body)
    made["metadata"] = {"name": name, "namespace": NAMESPACE, "labels": made["metadata"]["labels"]}
    return made


def cluster_object(api_version: str, kind: str, name: str, body: Mapping[str, Any]) -> Object:
    """An object that belongs to no namespace."""
    labels = {"app.kubernetes.io/part-of": NAME}
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": labels}, **body}


def pods_of(*parts: Part) -> Object:
    """A selector of the pods that are for one of `parts`."""
    if len(parts) == 1:
        return {"matchLabels": {PART_LABEL: parts[0].value}}
    return {"matchExpressions": [{"key": PART_LABEL, "operator": "In", "values": [part.value for part in parts]}]}
