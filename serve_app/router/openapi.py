"""The OpenAPI document: what FastAPI cannot know, since bodies are read and replies are written by the dialects."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic import TypeAdapter

from serve_app.router.dialect import Dialect
from serve_app.router.dialects import native
from serve_app.router.paths import PLACES, Place
from serve_app.routes import RouteTerms

JSON = "application/json"
STATUSES = {
    400: "The body is not JSON.",
    401: "There is no API key, or it is not valid.",
    402: "The key has spent its budget of this month.",
    403: "The key may not do this.",
    404: "No such model; the message lists the nearest names.",
    409: "The routes were changed meanwhile; look at them again.",
    413: "The body is over the limit. It was not parsed.",
    422: "A field is missing, of a wrong type or over its limit.",
    429: "Too much for this key or for the service; `Retry-After` says when to try again.",
    500: "The service failed; its log says why.",
    503: "The variant cannot answer now; the message says why.",
    504: "The answer was not ready in time.",
}
_REF = "#/components/schemas/{model}"


def failures(*statuses: int, shape: Any = native.ErrorReply) -> dict[int | str, dict[str, Any]]:
    """Errors as FastAPI's `responses`, in our own shape or another."""
    return {status: {"model": shape, "description": STATUSES[status]} for status in statuses}


def complete(schema: dict[str, Any]) -> dict[str, Any]:
    """Adds bodies, replies and errors of the places where dialects are spoken, and the keys."""
    components = schema.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    for place in PLACES:
        operation = schema["paths"][place.path.replace(":path", "")]["post"]
        operation["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": _any_of((d.body for d in place.dialects), "validation", schemas)}},
        }
        operation["responses"] = _responses(place, schemas)
        operation["tags"] = [" · ".join(dict.fromkeys(dialect.name for dialect in place.dialects))]
    schema["paths"]["/admin/routes/{name}"]["put"]["requestBody"] = {
        "required": True,
        "content": {JSON: {"schema": _any_of((RouteTerms,), "validation", schemas)}},
    }
    for operation in (operation for path in schema["paths"].values() for operation in path.values()):
        refused = operation["responses"].get("422", {}).get("content", {}).get(JSON, {}).get("schema", {})
        if refused.get("$ref", "").endswith("HTTPValidationError"):
            del operation["responses"]["422"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    schema["security"] = [{"key": []}, {}]
    return schema


def _responses(place: Place, schemas: dict[str, Any]) -> dict[str, Any]:
    answered = _any_of((dialect.reply for dialect in place.dialects), "serialization", schemas)
    shapes: Iterable[Dialect[Any]] = place.dialects
    failed = _any_of((dialect.failure for dialect in shapes), "serialization", schemas)
    replies = {"200": {"description": "Ranked.", "content": {JSON: {"schema": answered}}}}
    told = {
        str(s): {"description": text, "content": {JSON: {"schema": failed}}}
        for s, text in STATUSES.items()
        if s != HTTPStatus.CONFLICT
    }
    if "{" in place.path:  # a model of line ends matches no path, and no dialect is spoken there
        unknown = _any_of(dict.fromkeys((*(d.failure for d in shapes), native.ErrorReply)), "serialization", schemas)
        told["404"] = {**told["404"], "content": {JSON: {"schema": unknown}}}
    return {**replies, **told}


def _any_of(types: Iterable[Any], mode: Any, schemas: dict[str, Any]) -> Mapping[str, Any]:
    found = [_schema(each, mode, schemas) for each in types]
    return found[0] if len(found) == 1 else {"anyOf": found}


def _schema(type_: Any, mode: Any, schemas: dict[str, Any]) -> Mapping[str, Any]:
    """A reference to the type's schema, which is put among `schemas` with all that it refers to."""
    made = TypeAdapter(type_).json_schema(ref_template=_REF, mode=mode)
    schemas.update(made.pop("$defs", {}))
    if "title" not in made or made.get("type") == "array":
        return made
    schemas[made["title"]] = made
    return {"$ref": _REF.format(model=made["title"])}
