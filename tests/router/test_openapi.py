"""The OpenAPI document against what the application sends and takes."""

import json
import re

import httpx
import jsonschema
import pytest

from serve_app.router.openapi import STATUSES
from serve_app.router.paths import PLACES

pytestmark = pytest.mark.anyio


async def test_the_openapi_document_holds_for_what_is_sent(api: httpx.AsyncClient) -> None:
    schema = (await api.get("/openapi.json")).json()
    rerank = schema["paths"]["/v1/rerank"]["post"]
    asked = rerank["requestBody"]["content"]["application/json"]["schema"]
    answered = rerank["responses"]["200"]["content"]["application/json"]["schema"]
    example = schema["components"]["schemas"]["RerankBody"]["example"]
    jsonschema.validate(example, {**asked, "components": schema["components"]})
    response = await api.post("/v1/rerank", json=example)
    jsonschema.validate(response.json(), {**answered, "components": schema["components"]})
    failed = await api.post("/v1/rerank", json={})
    error = rerank["responses"]["422"]["content"]["application/json"]["schema"]
    jsonschema.validate(failed.json(), {**error, "components": schema["components"]})
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"query": "q"}, {**asked, "components": schema["components"]})


async def test_the_openapi_document_has_no_loose_ends(api: httpx.AsyncClient) -> None:
    text = (await api.get("/openapi.json")).text
    referred = set(re.findall(r'"#/components/schemas/(\w+)"', text))
    assert referred <= set(json.loads(text)["components"]["schemas"])
    assert {"RerankBody", "RerankReply", "ErrorReply", "ModelList", "UsageReply", "TeiError"} <= referred
    assert "ValidationError" not in text


async def test_the_openapi_document_names_every_path(api: httpx.AsyncClient) -> None:
    schema = (await api.get("/openapi.json")).json()
    paths = {f"{method.upper()} {path}" for path, methods in schema["paths"].items() for method in methods}
    assert {f"POST {place.path.replace(':path', '')}" for place in PLACES} <= paths
    assert {
        "GET /v1/models",
        "GET /v1/models/{model}",
        "GET /v1/usage",
        "GET /info",
        "GET /health",
        "GET /ready",
    } <= paths
    assert (await api.get("/docs")).status_code == 200


async def test_a_shared_path_tells_each_of_its_dialects(api: httpx.AsyncClient) -> None:
    schema = (await api.get("/openapi.json")).json()
    operation = schema["paths"]["/rerank"]["post"]
    bodies = operation["requestBody"]["content"]["application/json"]["schema"]["anyOf"]
    assert [body["$ref"].rsplit("/", 1)[1] for body in bodies] == [
        "RerankBody",
        "TeiBody",
        "NimBody",
        "VoyageBody",
        "WeaviateBody",
    ]
    assert set(operation["responses"]) == {"200", *map(str, STATUSES)} - {"409"}
