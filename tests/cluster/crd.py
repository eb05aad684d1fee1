"""KubeRay's custom resource definitions as JSON schemas that forbid what they do not name, as the API server does."""

from functools import cache
from typing import Any

import jsonschema
import pytest
import yaml

from serve_app.cluster.objects import Object
from tests.conftest import SHARED

FILE = SHARED / "kuberay-crds" / "ray.io_rayservices.yaml"


def require_rayservice(rayservice: Object) -> None:
    """Raise jsonschema's ValidationError for an object that the API server would refuse for its fields."""
    jsonschema.Draft7Validator(_schema()).validate(rayservice)


@cache
def _schema() -> dict[str, Any]:
    if not FILE.is_file():
        pytest.skip(f"needs KubeRay's definition of a RayService in {FILE}")
    definition = yaml.load(FILE.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    [version] = [each for each in definition["spec"]["versions"] if each["storage"]]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    _forbid_unknown(schema)
    schema["properties"]["metadata"] = {"type": "object"}  # checked by the API server itself
    return schema


def _forbid_unknown(schema: dict[str, Any]) -> None:
    if schema.pop("x-kubernetes-int-or-string", False):
        schema["type"] = ["integer", "string"]
    if "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        schema.setdefault("additionalProperties", False)
    inner = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
    for each in inner:
        if isinstance(each, dict):
            _forbid_unknown(each)
