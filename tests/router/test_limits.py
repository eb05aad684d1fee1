"""Limits in the memory of one router, on a clock that the test holds. What routers share: test_shared_limits.py."""

import asyncio
from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from serve_app.errors import ConfigurationError, RateLimited, TooManyDocuments
from serve_app.router.caller import EVERYBODY, Allowance, Caller
from serve_app.router.limits import RateLimiter
from serve_app.router.standing import LimitReached, Remaining, Standing
from tests.fakes import FakeClock

pytestmark = pytest.mark.anyio
LEASE_S = 30.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    """What `limits` takes for the time; 20 s before a minute of its counters ends."""
    clock = FakeClock()
    monkeypatch.setattr("limits.aio.storage.memory.time", SimpleNamespace(time=clock))
    return clock


@pytest.fixture
async def limiter(clock: FakeClock) -> AsyncIterator[RateLimiter]:
    limiter = RateLimiter(None)
    yield limiter
    await limiter.close()


def caller(
    key: str = "a", *, requests: int | None = None, documents: int | None = None, at_once: int | None = None
) -> Caller:
    return Caller(key, allowance=Allowance(requests, documents, at_once))


async def rank(limiter: RateLimiter, caller: Caller, documents: int = 1) -> Standing:
    """A request that ends at once."""
    async with limiter.admit(caller, documents, LEASE_S) as standing:
        return standing


async def refused(limiter: RateLimiter, caller: Caller, documents: int = 1) -> LimitReached:
    with pytest.raises(RateLimited) as caught:
        await rank(limiter, caller, documents)
    assert isinstance(caught.value, LimitReached)
    return caught.value


def left_of(remaining: Remaining | None) -> tuple[int, int, float]:
    assert remaining is not None
    return remaining.limit, remaining.remaining, round(remaining.reset_s, 1)


async def test_requests_of_a_minute(limiter: RateLimiter) -> None:
    asking = caller(requests=3)
    left = [(await rank(limiter, asking, 50)).requests for _ in range(3)]
    assert [remaining.remaining for remaining in left if remaining is not None] == [2, 1, 0]
    error = await refused(limiter, asking)
    assert error.message == "this key may send 3 requests a minute; none is left: try again in 21 s"
    assert left_of(error.standing.requests) == (3, 0, 60.0)
    assert error.standing.documents is None
    await rank(limiter, caller("b", requests=3))


async def test_documents_of_a_minute(limiter: RateLimiter) -> None:
    asking = caller(documents=600)
    await rank(limiter, asking, 570)
    error = await refused(limiter, asking, 50)
    assert error.message == (
        "this key has 30 of its 600 documents a minute left, and this request holds 50: try again in 23 s"
    )
    assert left_of((await rank(limiter, asking, 30)).documents) == (600, 0, 79.9)


async def test_a_limit_that_is_used_up_at_a_windows_end_does_not_come_back_at_once(
    limiter: RateLimiter, clock: FakeClock
) -> None:
    asking = caller(documents=600)
    clock.now = 119.0
    await rank(limiter, asking, 600)
    clock.now = 121.0
    await refused(limiter, asking, 11)
    await rank(limiter, asking, 10)


@pytest.mark.parametrize("had", [1, 7, 60, 99, 100])
@pytest.mark.parametrize("cost", [1, 2, 50, 100])
@pytest.mark.parametrize("later_s", [0.0, 5.0, 19.9, 20.5, 33.3])
async def test_after_the_time_that_it_names_a_request_is_let_in_and_not_before(
    limiter: RateLimiter, clock: FakeClock, had: int, cost: int, later_s: float
) -> None:
    asking = caller(documents=100)
    await rank(limiter, asking, had)
    clock.now += later_s
    for _ in range(3):
        try:
            await rank(limiter, asking, cost)
        except RateLimited as error:
            start = clock.now
            clock.now = start + error.retry_after_s - 0.02
            await refused(limiter, asking, cost)
            clock.now = start + error.retry_after_s
            await rank(limiter, asking, cost)


async def test_the_whole_limit_may_be_had_again_when_it_is_reset(limiter: RateLimiter, clock: FakeClock) -> None:
    asking = caller(documents=100)
    await rank(limiter, asking, 40)
    clock.now += 25
    standing = await rank(limiter, asking, 20)
    assert standing.documents is not None
    clock.now += standing.documents.reset_s
    await rank(limiter, asking, 100)


async def test_what_is_refused_for_its_documents_has_counted_as_a_request(limiter: RateLimiter) -> None:
    asking = caller(requests=3, documents=10)
    await rank(limiter, asking, 10)
    error = await refused(limiter, asking, 1)
    assert error.standing.requests is not None
    assert error.standing.requests.remaining == 1


async def test_what_is_refused_for_its_requests_has_used_up_no_documents(limiter: RateLimiter) -> None:
    asking = caller(requests=1, documents=10, at_once=10)
    await rank(limiter, asking, 1)
    assert left_of((await refused(limiter, asking, 5)).standing.documents) == (10, 9, 20.0)
    await rank(limiter, caller(at_once=10), 10)


async def test_documents_at_once(limiter: RateLimiter) -> None:
    asking = caller(documents=1_000, at_once=100)
    async with limiter.admit(asking, 60, LEASE_S):
        await rank(limiter, asking, 40)
        async with limiter.admit(asking, 30, LEASE_S):
            error = await refused(limiter, asking, 20)
            assert error.message == (
                "this key may have 100 documents at work at once; others hold 90 and this request 20: "
                "try again when an answer has come"
            )
            assert error.retry_after_s == 1.0
            await rank(limiter, caller("b", at_once=100), 100)
    standing = await rank(limiter, asking, 100)
    assert standing.documents is not None
    assert standing.documents.remaining == 1_000 - 60 - 40 - 30 - 100  # none was used up by what was refused


async def test_documents_at_work_are_given_back_by_what_fails(limiter: RateLimiter) -> None:
    asking = caller(documents=100, at_once=100)
    with pytest.raises(ZeroDivisionError):
        async with limiter.admit(asking, 90, LEASE_S):
            raise ZeroDivisionError
    await refused(limiter, asking, 100)  # by the limit of the minute
    await rank(limiter, caller(at_once=100), 100)


async def test_documents_at_work_are_given_back_by_what_is_cancelled(limiter: RateLimiter) -> None:
    asking = caller(at_once=100)
    inside = asyncio.Event()

    async def work() -> None:
        async with limiter.admit(asking, 100, LEASE_S):
            inside.set()
            await asyncio.sleep(60)

    working = asyncio.create_task(work())
    await inside.wait()
    await refused(limiter, asking, 1)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    await rank(limiter, asking, 100)


@pytest.mark.parametrize(
    ("asking", "message"),
    [
        (
            caller(requests=1, documents=600),
            "this key may rank 600 documents a minute, and this request holds 601: send them in parts",
        ),
        (
            caller(requests=1, at_once=600),
            "this key may rank 600 documents at once, and this request holds 601: send them in parts",
        ),
    ],
)
async def test_what_never_fits_is_refused_for_good_and_not_counted(
    limiter: RateLimiter, asking: Caller, message: str
) -> None:
    with pytest.raises(TooManyDocuments) as caught:
        await rank(limiter, asking, 601)
    assert (caught.value.message, caught.value.param) == (message, "documents")
    await rank(limiter, asking, 600)


async def test_who_has_no_limit_costs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    limiter = RateLimiter("redis://127.0.0.1:1/0")  # would be missed, in a line of the log
    assert await rank(limiter, EVERYBODY, 100_000) == Standing()
    await limiter.close()
    assert not caplog.records


async def test_a_limit_that_is_changed_keeps_what_was_counted(limiter: RateLimiter) -> None:
    await rank(limiter, caller(documents=100), 90)
    await refused(limiter, caller(documents=120), 31)
    await rank(limiter, caller(documents=120), 30)


@pytest.mark.parametrize(
    "url", ["http://:secret@host", "redis://:sec/ret@host", "redis://:secret@host:port", "secret", "redis://host?sec=1"]
)
def test_what_is_no_url_of_a_redis_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        RateLimiter(url)
    assert "sec" not in caught.value.message
    assert caught.value.__suppress_context__
