"""HTTP: paths, bodies within their limit, the one error handler. The use case is `service`, the formats `dialects`."""

import logging
import re
import time
import uuid
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from serve_app.errors import BodyTooLarge, InvalidRequest, RerankError
from serve_app.router.dialects import listing, native
from serve_app.router.service import RerankService
from serve_app.scoring import Timings

REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
TIMEOUT_HEADER = "x-request-timeout-seconds"
TIMEOUT_SHARE = 0.9
"""Ray's proxy reads the same header, and at the full time answers 408 in a shape of its own."""
RETRY_AFTER_S = "1"

_JSON = "application/json"
_ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": native.ErrorReply, "description": "The body is not JSON."},
    404: {"model": native.ErrorReply, "description": "No such model; the message lists the nearest names."},
    413: {"model": native.ErrorReply, "description": "The body is over the limit. It was not parsed."},
    422: {"model": native.ErrorReply, "description": "A field is missing, of a wrong type or over its limit."},
    429: {"model": native.ErrorReply, "description": "Too much is waiting; `Retry-After` says when to try again."},
    503: {"model": native.ErrorReply, "description": "The variant cannot answer now; the message says why."},
    504: {"model": native.ErrorReply, "description": "The answer was not ready in time."},
}
_NO_MODEL: dict[int | str, dict[str, Any]] = {404: _ERRORS[404]}
_REF = "#/components/schemas/{model}"
_BODY = {"requestBody": {"required": True, "content": {_JSON: {"schema": {"$ref": _REF.format(model="RerankBody")}}}}}
_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log


def create_api(service: RerankService) -> FastAPI:
    """The ASGI application over a service; it runs under Ray Serve, and under any ASGI server in tests."""
    # /docs with its scripts from this package: plain FastAPI takes them from a CDN, and the page stays blank without.
    api = FastAPIOffline(
        title="rerank-serve",
        summary="Rerank documents with a cross-encoder chosen by name.",
        version="1",
        redoc_url=None,
        static_url="/docs/static",
    )
    created = int(time.time())

    async def rerank(request: Request, model: str | None) -> Response:
        body = await _body(request, service.limits.max_body_bytes)
        timeout_s = _timeout(request, service.limits.request_timeout_s)
        asked = native.read(body, _request_id(request), timeout_s, model)
        ranking = await service.rerank(asked.request)
        headers = {"Server-Timing": _server_timing(ranking.timings)}
        return Response(asked.write(ranking, int(time.time())), media_type=_JSON, headers=headers)

    @api.post("/v1/rerank", response_model=native.RerankReply, responses=_ERRORS, openapi_extra=_BODY)
    async def rerank_documents(request: Request) -> Response:
        """Rank documents by their relevance to a query."""
        return await rerank(request, None)

    @api.post(
        "/v1/models/{model:path}/rerank", response_model=native.RerankReply, responses=_ERRORS, openapi_extra=_BODY
    )
    async def rerank_with_model(request: Request, model: str) -> Response:
        """The same with the model in the path; a `model` in the body is ignored."""
        return await rerank(request, model)

    @api.get("/v1/models")
    async def list_models() -> listing.ModelList:
        """All variants, with published figures and live state."""
        found = await service.models()
        return listing.ModelList(data=[listing.describe(service.catalog, v, state, created) for v, state in found])

    @api.get("/v1/models/{model:path}", responses=_NO_MODEL)
    async def get_model(model: str) -> listing.Model:
        """One variant, by hub id, short name or alias."""
        variant, state = await service.model(model)
        return listing.describe(service.catalog, variant, state, created)

    @api.get("/health")
    async def health() -> dict[str, str]:
        """Whether the router is alive."""
        return {"status": "ok"}

    @api.get("/ready", responses={503: _ERRORS[503]})
    async def ready() -> dict[str, str]:
        """Whether the default route can answer."""
        return {"status": "ready", "model": await service.ready()}

    api.exception_handler(RerankError)(_on_rerank_error)
    api.exception_handler(HTTPException)(_on_http_error)
    api.exception_handler(Exception)(_on_unexpected_error)
    api.openapi_schema = _complete(api.openapi())
    return api


async def _body(request: Request, limit: int) -> bytes:
    """The body; raises BodyTooLarge before more than the limit is held."""
    too_large = BodyTooLarge(f"the body is larger than the limit of {limit} bytes: send the documents in parts")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise too_large
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        if len(received) > limit:
            raise too_large
    return bytes(received)


def _request_id(request: Request) -> str:
    """The caller's, when it is a sane one; Ray's proxy gives one to requests that have none, and echoes both."""
    given = request.headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def _timeout(request: Request, most: float) -> float:
    """Seconds that the caller allows, at most the service's own limit; raises InvalidRequest."""
    given = request.headers.get(TIMEOUT_HEADER)
    if given is None:
        return most
    try:
        wanted = float(given)
    except ValueError:
        raise InvalidRequest(f"{TIMEOUT_HEADER} is not a number of seconds") from None
    return min(most, wanted * TIMEOUT_SHARE) if wanted > 0 else most


def _server_timing(timings: Timings) -> str:
    parts = ("queue", timings.queue_ms), ("tokenize", timings.tokenize_ms), ("inference", timings.inference_ms)
    return ", ".join(f"{name};dur={milliseconds:.1f}" for name, milliseconds in parts)


def _complete(schema: dict[str, Any]) -> dict[str, Any]:
    """FastAPI knows only what it reads itself; bodies are read by the dialect, and errors have one shape."""
    schemas = schema["components"]["schemas"]
    schemas["RerankBody"] = native.RerankBody.model_json_schema(ref_template=_REF)
    schemas.update(schemas["RerankBody"].pop("$defs"))
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for operation in (operation for path in schema["paths"].values() for operation in path.values()):
        refused = operation["responses"].get("422", {}).get("content", {}).get(_JSON, {}).get("schema", {})
        if refused.get("$ref", "").endswith("HTTPValidationError"):
            del operation["responses"]["422"]
    return schema


async def _on_rerank_error(_: Request, error: RerankError) -> Response:
    if error.status >= 500:
        _log.warning("%s: %s", error.code, error.message)
    headers = {"Retry-After": RETRY_AFTER_S} if error.status == 429 else None
    return Response(native.write_error(error), error.status, headers, _JSON)


async def _on_http_error(request: Request, error: HTTPException) -> Response:
    message = f"there is no {request.method} on this path; /docs lists what there is"
    code = HTTPStatus(error.status_code).name.lower()
    detail = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    return JSONResponse({"error": detail}, error.status_code, error.headers)


async def _on_unexpected_error(_: Request, error: Exception) -> Response:
    _log.error("a request failed unexpectedly", exc_info=error)
    return Response(native.write_error(RerankError("the service failed; its log says why")), 500, None, _JSON)
