"""Limits while the Redis that routers share is dead, hangs or lets nobody in: each router counts alone."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from serve_app.errors import RateLimited
from serve_app.router.caller import Allowance, Caller
from serve_app.router.limits import REDIS_TIMEOUT_S, RateLimiter
from tests.redis_server import redis_server
from tests.running import free_port

pytestmark = pytest.mark.anyio
SECRET = "s3cr3t-of-redis"


@contextmanager
def guarded_redis(port: int) -> Iterator[None]:
    """One with a password."""
    with redis_server(port) as url:
        with Redis.from_url(url) as redis:
            redis.config_set("requirepass", SECRET)
        yield


@asynccontextmanager
async def limits(url: str) -> AsyncIterator[RateLimiter]:
    limiter = RateLimiter(url)
    try:
        yield limiter
    finally:
        await limiter.close()


def caller(*, requests: int | None = None, documents: int | None = None, at_once: int | None = None) -> Caller:
    return Caller("a", allowance=Allowance(requests, documents, at_once))


async def rank(limiter: RateLimiter, caller: Caller, documents: int = 1) -> None:
    async with limiter.admit(caller, documents, 30.0):
        pass


def ours(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "ray.serve"]


async def until_said(caplog: pytest.LogCaptureFixture, sentence: str) -> None:
    for _ in range(200):
        if any(sentence in line for line in ours(caplog)):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"not said: {sentence}")


async def test_requests_go_on_without_redis_and_it_is_used_again_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    asking = caller(requests=1_000, documents=1_000, at_once=100)
    port = free_port()
    url = f"redis://:{SECRET}@127.0.0.1:{port}/0"
    async with limits(url) as limiter:
        with guarded_redis(port):
            held = [limiter.admit(asking, 10, 30.0) for _ in range(5)]
            await asyncio.gather(*(inside.__aenter__() for inside in held))
        await asyncio.gather(*(inside.__aexit__(None, None, None) for inside in held))
        for _ in range(5):
            await asyncio.gather(*(rank(limiter, asking, 10) for _ in range(10)))
        with pytest.raises(RateLimited, match="has 500 of its 1000 documents a minute left"):
            await rank(limiter, caller(documents=1_000), 501)
        assert ours(caplog) == ["Redis does not answer (ConnectionError): each router counts rate limits alone"]
        with guarded_redis(port):
            await until_said(caplog, "Redis answers again: the routers share rate limits")
            async with limiter.admit(asking, 10, 30.0) as standing, AsyncRedis.from_url(url) as redis:
                assert standing.documents is not None
                assert standing.documents.remaining == 990
                names = await redis.keys("*/a*")
            assert set(names) == {b"rerank:{requests/a}", b"rerank:{documents/a}", b"rerank:concurrent/a"}
    assert len(ours(caplog)) == 2
    assert SECRET not in caplog.text


async def test_a_redis_that_hangs_holds_up_neither_the_loop_nor_the_requests_after_the_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asking = caller(requests=1_000)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    with redis_server() as url:
        async with limits(url) as limiter, AsyncRedis.from_url(url) as redis:
            await rank(limiter, asking)
            await redis.client_pause(2_500)
            start, ticking = time.monotonic(), asyncio.create_task(tick())
            for _ in range(20):
                await rank(limiter, asking)
            ticking.cancel()
            assert time.monotonic() - start < 5 * REDIS_TIMEOUT_S  # and not twenty times
            assert ticks > 10
            assert ours(caplog) == ["Redis does not answer (TimeoutError): each router counts rate limits alone"]
            await until_said(caplog, "Redis answers again")


async def test_a_wrong_password_stops_nobody_and_is_in_no_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    port = free_port()
    with guarded_redis(port):
        async with limits(f"redis://:wr0ng@127.0.0.1:{port}/0") as limiter:
            await rank(limiter, caller(documents=10), 10)
    assert ours(caplog) == ["Redis does not answer (AuthenticationError): each router counts rate limits alone"]
    assert "wr0ng" not in caplog.text
