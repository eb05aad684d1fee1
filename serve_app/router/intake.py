"""What is taken of an HTTP request: its body within limits, its id, the time it allows. It knows no dialect."""

import math
import re
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Request

from serve_app.errors import BodyTooLarge, InvalidRequest, Overloaded
from serve_app.router.ranking import Bounds
from serve_app.settings import Limits

REQUEST_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
TIMEOUT_HEADER = "x-request-timeout-seconds"
TIMEOUT_MS_HEADER = "x-request-timeout-ms"
LATENCY_HEADER = "x-rerank-max-latency-ms"
NDCG_HEADER = "x-rerank-min-ndcg"
PRICE_HEADER = "x-rerank-max-price-per-1k-docs"
STRICT_HEADER = "x-rerank-strict"
LANE_HEADER = "x-rerank-lane"
FLAGS = {"true": True, "1": True, "false": False, "0": False}
TIMEOUT_SHARE = 0.9
"""Ray reads the first header too, and at the full time answers 408 in a shape of its own."""


class Intake:
    """The bodies that one router holds."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._held = 0

    @asynccontextmanager
    async def body(self, request: Request) -> AsyncIterator[bytes]:
        """The body, counted as held until the block ends.

        Raises BodyTooLarge before more than the limit is there, Overloaded when all bodies together would be too large.
        """
        limit = self._limits.max_body_bytes
        too_large = BodyTooLarge(f"the body is larger than the limit of {limit} bytes: send the documents in parts")
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            raise too_large
        received = bytearray()
        try:
            async for chunk in request.stream():
                received += chunk
                self._held += len(chunk)
                if len(received) > limit:
                    raise too_large
                if self._held > self._limits.max_bytes_in_flight:
                    raise Overloaded("the service holds as many bodies as it may: try again")
            yield bytes(received)
        finally:
            self._held -= len(received)

    def timeout_s(self, request: Request, asked_s: float | None) -> float:
        """Seconds that headers and body allow, at most the service's own limit; raises InvalidRequest.

        Nothing, zero and less are no wish.
        """
        seconds, milliseconds = (_number(request, header) for header in (TIMEOUT_HEADER, TIMEOUT_MS_HEADER))
        wishes = (seconds * TIMEOUT_SHARE, milliseconds / 1_000, asked_s or 0.0)
        return min(self._limits.request_timeout_s, *(wish for wish in wishes if wish > 0), math.inf)


def request_id(request: Request) -> str:
    """The caller's, when it is a sane one; Ray gives one to requests that have none, and echoes both."""
    given = request.headers.get("x-request-id", "")
    return given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex


def bounds(request: Request) -> Bounds:
    """What headers say of the choice, for dialects whose bodies have no field for it; raises InvalidRequest."""
    return Bounds(
        _bound(request, LATENCY_HEADER, _is_positive, "above 0"),
        _bound(request, NDCG_HEADER, _is_percent, "from 0 to 100"),
        _bound(request, PRICE_HEADER, _is_positive, "above 0"),
        _flag(request, STRICT_HEADER),
    )


def _bound(request: Request, header: str, accepts: Callable[[float], bool], accepted: str) -> float | None:
    if header not in request.headers:
        return None
    number = _number(request, header)
    if not accepts(number):
        raise InvalidRequest(f"{header} has to be {accepted}: change it, or leave it out", header)
    return number


def _is_positive(number: float) -> bool:
    return number > 0  # which NaN is not


def _is_percent(number: float) -> bool:
    return 0 <= number <= 100


def _flag(request: Request, header: str) -> bool | None:
    given = request.headers.get(header)
    if given is None:
        return None
    if (flag := FLAGS.get(given.strip().casefold())) is None:
        raise InvalidRequest(f"{header} is neither true nor false", header)
    return flag


def _number(request: Request, header: str) -> float:
    given = request.headers.get(header)
    if given is None:
        return 0.0
    try:
        return float(given)
    except ValueError:
        raise InvalidRequest(f"{header} is not a number", header) from None
