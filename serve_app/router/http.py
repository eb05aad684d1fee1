"""HTTP: the places where dialects are spoken, the other paths, the one error handler. The use case is `service`."""

import logging
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, date, datetime
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from serve_app.errors import InvalidRequest, NoSuchPath, RerankError, RetryLater, Unauthenticated, WrongMethod
from serve_app.router.admin import add_admin
from serve_app.router.dialect import Dialect, parse
from serve_app.router.dialects import listing, metering, native, tei
from serve_app.router.intake import LANE_HEADER, Intake, bounds, request_id
from serve_app.router.keys import Keys
from serve_app.router.office import RouteOffice
from serve_app.router.openapi import JSON, complete, failures
from serve_app.router.paths import PLACES, Place, dialect_at
from serve_app.router.probes import add_probes
from serve_app.router.ranking import RerankRequest
from serve_app.router.service import RerankService
from serve_app.router.standing import LimitReached
from serve_app.scoring import Timings

Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]
_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log


def create_api(service: RerankService, office: RouteOffice, keys: Keys, lifespan: Lifespan | None = None) -> FastAPI:
    """The ASGI application over the use cases; it runs under Ray Serve, and under any ASGI server in tests."""
    # /docs with its scripts from this package: plain FastAPI takes them from a CDN, and the page stays blank without.
    api = FastAPIOffline(
        title="rerank-serve",
        summary="Rerank documents with a cross-encoder chosen by name.",
        version="1",
        redoc_url=None,
        static_url="/docs/static",
        lifespan=lifespan,
    )
    intake = Intake(service.limits)
    for place in PLACES:
        api.add_api_route(
            place.path,
            _endpoint(place, service, keys, intake),
            methods=["POST"],
            name=place.path,
            response_model=None,
            description="Rank documents by their relevance to a query.",
        )
    _add_models(api, service, keys)
    _add_usage(api, service, keys)
    add_admin(api, office, keys, intake)
    add_probes(api, service, keys.wanted)
    api.exception_handler(RerankError)(_on_rerank_error)
    api.exception_handler(HTTPException)(_on_http_error)
    api.exception_handler(RequestValidationError)(_on_wrong_parameter)
    api.exception_handler(Exception)(_on_unexpected_error)
    api.openapi_schema = complete(api.openapi())
    return api


def _endpoint(place: Place, service: RerankService, keys: Keys, intake: Intake) -> Callable[..., Awaitable[Response]]:
    async def rank(request: Request, model: str | None) -> Response:
        request.state.dialect = place.dialects[0]
        caller = keys.caller(request.headers.get("authorization"))
        request.state.dialect = dialect_at(place, {}, caller.dialect)
        async with intake.body(request) as content:
            sent = parse(content)
            dialect = request.state.dialect = dialect_at(place, sent, caller.dialect)
            question = dialect.question(sent)
            asked = question.asked.within(bounds(request))
            asked = asked if model is None else asked.with_model(model)
            timeout_s = intake.timeout_s(request, asked.timeout_s)
            lane = request.headers.get(LANE_HEADER)
            ranking = await service.rerank(RerankRequest(request_id(request), caller, asked, timeout_s, lane))
            headers = {"Server-Timing": _server_timing(ranking.timings), **ranking.headers()}
            return Response(question.answer(ranking, int(time.time())), media_type=JSON, headers=headers)

    async def with_model(request: Request, model: str) -> Response:
        return await rank(request, model)

    async def without_model(request: Request) -> Response:
        return await rank(request, None)

    return with_model if "{model" in place.path else without_model


def _add_models(api: FastAPI, service: RerankService, keys: Keys) -> None:
    created = int(time.time())

    async def list_models(request: Request) -> listing.ModelList:
        """All variants and cascades that the key may use, with published figures and live state."""
        found = await service.models(keys.caller(request.headers.get("authorization")))
        return listing.ModelList(data=[listing.describe(service.catalog, v, state, created) for v, state in found])

    async def get_model(request: Request, model: str) -> listing.Model:
        """One variant or cascade, by hub id, short name or alias."""
        served, state = await service.model(model, keys.caller(request.headers.get("authorization")))
        return listing.describe(service.catalog, served, state, created)

    async def info(request: Request, model: str | None = None) -> tei.TeiInfo:
        """The model that answers when none is named, as text-embeddings-inference describes it."""
        request.state.dialect = tei.DIALECT
        served, state = await service.model(model, keys.caller(request.headers.get("authorization")))
        return tei.info(served, service.catalog.variants_of(served)[-1], state, service.limits.max_documents)

    for prefix in ("/v1", "/nim/v1", "/vllm/v1", "/xinference/v1"):
        api.get(f"{prefix}/models", responses=failures(401))(list_models)
        api.get(f"{prefix}/models/{{model:path}}", responses=failures(401, 403, 404, 422))(get_model)
    for path in ("/info", "/tei/info", "/models/{model:path}/info"):
        api.get(path, responses=failures(401, 403, 404, 422, shape=tei.TeiError | native.ErrorReply))(info)


def _add_usage(api: FastAPI, service: RerankService, keys: Keys) -> None:
    @api.get("/v1/usage", response_model=metering.UsageReply, responses=failures(401, 422, 503))
    async def usage(
        request: Request,
        first: Annotated[date | None, Query(alias="from", description="UTC day. The first of this month.")] = None,
        last: Annotated[date | None, Query(alias="to", description="UTC day, included. Today.")] = None,
        group_by: Annotated[str, Query(description="`day`, `model`, `key`, with commas.")] = metering.DEFAULT_GROUPS,
    ) -> Response:
        """What the key has used; with the scope `admin`, what all keys have."""
        caller = keys.caller(request.headers.get("authorization"))
        today = datetime.now(UTC).date()
        first, last = first or today.replace(day=1), last or today
        by = metering.groups(group_by)
        lines = await service.usage(first, last, by, caller)
        return Response(metering.describe(first, last, by, lines), media_type=JSON)


def _server_timing(timings: Timings) -> str:
    parts = ("queue", timings.queue_ms), ("tokenize", timings.tokenize_ms), ("inference", timings.inference_ms)
    return ", ".join(f"{name};dur={milliseconds:.1f}" for name, milliseconds in parts)


async def _on_rerank_error(request: Request, error: RerankError) -> Response:
    if error.status >= 500:
        _log.warning("%s: %s", error.code, error.message)
    return _failure(request, error)


async def _on_wrong_parameter(request: Request, error: RequestValidationError) -> Response:
    first = error.errors()[0]
    param = str(first["loc"][-1])
    return _failure(request, InvalidRequest(f"{param}: {first['msg']}", param))


async def _on_http_error(request: Request, error: HTTPException) -> Response:
    kind = WrongMethod if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED else NoSuchPath
    response = _failure(request, kind(f"there is no {request.method} on this path; /docs lists what there is"))
    response.headers.update(error.headers or {})  # `Allow` tells which method there is
    return response


async def _on_unexpected_error(request: Request, error: Exception) -> Response:
    _log.error("a request failed unexpectedly", exc_info=error)
    return _failure(request, RerankError("the service failed; its log says why"))


def _failure(request: Request, error: RerankError) -> Response:
    """The error in the dialect of the request, as far as that is known."""
    dialect: Dialect[Any] = getattr(request.state, "dialect", native.DIALECT)
    return Response(dialect.write_error(error), error.status, _headers(error), JSON)


def _headers(error: RerankError) -> dict[str, str]:
    headers: dict[str, str] = {}
    if isinstance(error, RetryLater):
        headers["Retry-After"] = str(math.ceil(error.retry_after_s))
        headers["retry-after-ms"] = str(math.ceil(error.retry_after_s * 1_000))
    if isinstance(error, LimitReached):
        headers |= error.standing.headers()
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = "Bearer"
    return headers
