"""The OpenAPI document against what the application sends and takes."""

import json
import re

import httpx
import jsonschema
import pytest

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
    assert {"RerankBody", "RerankReply", "ErrorReply", "ModelList", "DocumentObject"} <= referred
    assert "ValidationError" not in text


async def test_the_openapi_document_names_every_path(api: httpx.AsyncClient) -> None:
    schema = (await api.get("/openapi.json")).json()
    paths = {f"{method.upper()} {path}" for path, methods in schema["paths"].items() for method in methods}
    assert paths == {
        "POST /v1/rerank",
        "POST /v1/models/{model}/rerank",
        "GET /v1/models",
        "GET /v1/models/{model}",
        "GET /health",
        "GET /ready",
    }
    assert (await api.get("/docs")).status_code == 200
