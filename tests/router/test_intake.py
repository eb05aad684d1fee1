import pytest
from starlette.requests import Request
from starlette.types import Message

from serve_app.errors import BodyTooLarge, InvalidRequest, Overloaded
from serve_app.router.intake import Intake, bounds
from serve_app.router.ranking import UNBOUNDED, Bounds
from serve_app.settings import Limits

LIMITS = Limits(max_body_bytes=100, max_bytes_in_flight=150, request_timeout_s=30.0)


def _request(content: bytes = b"", /, **headers: str) -> Request:
    chunks = [content[start : start + 40] for start in range(0, len(content), 40)] or [b""]

    async def receive() -> Message:
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive)


@pytest.mark.parametrize(
    ("headers", "asked", "allowed"),
    [
        ({}, None, 30.0),
        ({"x_request_timeout_seconds": "2"}, None, 1.8),
        ({"x_request_timeout_seconds": "-2"}, None, 30.0),
        ({"x_request_timeout_seconds": "0"}, 4.0, 4.0),
        ({"x_request_timeout_ms": "250"}, None, 0.25),
        ({"x_request_timeout_ms": "250", "x_request_timeout_seconds": "0.1"}, 4.0, 0.09),
        ({"x_request_timeout_ms": "inf"}, None, 30.0),
        ({"x_request_timeout_ms": "nan"}, None, 30.0),
        ({}, 4.0, 4.0),
        ({}, 400.0, 30.0),
    ],
)
def test_the_least_time_that_anybody_allows(headers: dict[str, str], asked: float | None, allowed: float) -> None:
    assert Intake(LIMITS).timeout_s(_request(b"", **headers), asked) == pytest.approx(allowed)


def test_a_time_that_is_no_number() -> None:
    with pytest.raises(InvalidRequest, match="x-request-timeout-ms is not a number"):
        Intake(LIMITS).timeout_s(_request(x_request_timeout_ms="soon"), None)


@pytest.mark.parametrize(
    ("headers", "read"),
    [
        ({}, UNBOUNDED),
        ({"x_rerank_max_latency_ms": "20.5", "x_rerank_strict": "True"}, Bounds(20.5, strict=True)),
        ({"x_rerank_min_ndcg": "0", "x_rerank_max_price_per_1k_docs": "0.01"}, Bounds(None, 0.0, 0.01)),
        ({"x_rerank_strict": "0"}, Bounds(strict=False)),
    ],
)
def test_a_wish_in_headers(headers: dict[str, str], read: Bounds) -> None:
    assert bounds(_request(**headers)) == read


@pytest.mark.parametrize(
    ("header", "given", "said"),
    [
        ("x_rerank_max_latency_ms", "0", "has to be above 0"),
        ("x_rerank_max_latency_ms", "nan", "has to be above 0"),
        ("x_rerank_max_price_per_1k_docs", "-1", "has to be above 0"),
        ("x_rerank_min_ndcg", "100.5", "has to be from 0 to 100"),
        ("x_rerank_min_ndcg", "high", "is not a number"),
        ("x_rerank_strict", "perhaps", "is neither true nor false"),
    ],
)
def test_a_wish_in_headers_that_cannot_be(header: str, given: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        bounds(_request(**{header: given}))
    assert caught.value.param == header.replace("_", "-")


@pytest.mark.anyio
async def test_a_body_within_the_limits() -> None:
    async with Intake(LIMITS).body(_request(b"x" * 100)) as content:
        assert content == b"x" * 100


@pytest.mark.anyio
async def test_a_body_over_the_limit_with_and_without_its_length() -> None:
    for request in (_request(b"x" * 101), _request(content_length="101")):
        with pytest.raises(BodyTooLarge):
            async with Intake(LIMITS).body(request):
                pass


@pytest.mark.anyio
async def test_bodies_together_have_a_limit_too() -> None:
    intake = Intake(LIMITS)
    async with intake.body(_request(b"x" * 100)):
        with pytest.raises(Overloaded):
            async with intake.body(_request(b"x" * 51)):
                pass
        async with intake.body(_request(b"x" * 50)):
            pass
    async with intake.body(_request(b"x" * 100)), intake.body(_request(b"x" * 50)):
        pass
