"""Limits that routers share: processes that hammer one real Redis, and one that dies."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import anyio
import pytest
from redis.asyncio import Redis

from serve_app.errors import RateLimited
from serve_app.router.caller import Allowance, Caller
from serve_app.router.limits import RateLimiter
from serve_app.router.standing import LimitReached
from tests.redis_server import redis_server

pytestmark = pytest.mark.anyio
WITHIN_S = 20.0

HAMMER = """
import asyncio, json, random, sys, time
from serve_app.errors import RateLimited
from serve_app.router import limits
from serve_app.router.caller import Allowance, Caller

limits.REDIS_TIMEOUT_S = 30.0
url, allowance, largest, hold_s, lease_s, for_s = json.loads(sys.argv[1])
CALLER = Caller("a", allowance=Allowance(*allowance))
events = []

async def ask(limiter, until):
    while time.monotonic() < until:
        documents = random.randint(1, largest)
        try:
            async with limiter.admit(CALLER, documents, lease_s):
                events.append((time.monotonic(), documents))
                if hold_s > 1:
                    print("inside", flush=True)
                await asyncio.sleep(hold_s)
                events.append((time.monotonic(), -documents))
        except RateLimited:
            await asyncio.sleep(0.001)

async def main():
    limiter = limits.RateLimiter(url)
    print("ready", flush=True)
    sys.stdin.readline()
    await asyncio.gather(*(ask(limiter, time.monotonic() + for_s) for _ in range(40)))
    await limiter.close()
    print(json.dumps(events))

asyncio.run(main())
"""


@contextmanager
def router(
    url: str, *allowance: int | None, largest: int, hold_s: float, lease_s: float = 60.0, for_s: float = 2.0
) -> "Iterator[subprocess.Popen[str]]":
    """A process that asks as fast as it can, from forty tasks, once it is told to start."""
    arguments = json.dumps([url, allowance, largest, hold_s, lease_s, for_s])
    process = subprocess.Popen(
        [sys.executable, "-c", HAMMER, arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def start(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def events_of_two(url: str, *allowance: int | None, largest: int, hold_s: float) -> list[tuple[float, int]]:
    """Documents that two routers let in, and that ended, in the order of time."""
    with (
        router(url, *allowance, largest=largest, hold_s=hold_s) as one,
        router(url, *allowance, largest=largest, hold_s=hold_s) as other,
    ):
        start(one)
        start(other)
        each = [json.loads(process.communicate(timeout=WITHIN_S)[0]) for process in (one, other)]
    assert all(each), "both took part"
    return sorted((at, documents) for events in each for at, documents in events)


@pytest.fixture(autouse=True)
def _no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy this machine is."""
    monkeypatch.setattr("serve_app.router.limits.REDIS_TIMEOUT_S", 30.0)


@pytest.fixture
def url() -> Iterator[str]:
    with redis_server() as url:
        yield url


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


def test_two_routers_share_the_documents_of_a_minute(url: str) -> None:
    events = events_of_two(url, None, 2_000, None, largest=7, hold_s=0.0)
    let_in = sum(documents for _, documents in events if documents > 0)
    assert 1_960 <= let_in <= 2_000


def test_two_routers_share_the_requests_of_a_minute(url: str) -> None:
    events = events_of_two(url, 500, None, None, largest=7, hold_s=0.0)
    assert sum(documents > 0 for _, documents in events) == 500


async def test_two_routers_share_the_documents_at_once(url: str) -> None:
    events = events_of_two(url, None, None, 100, largest=3, hold_s=0.3)
    at_work, most = 0, 0
    for _, documents in events:
        at_work += documents
        most = max(most, at_work)
    assert 98 <= most <= 100
    async with limits(url) as limiter:
        await rank(limiter, caller(at_once=100), 100)  # all were given back


async def test_what_a_dead_router_holds_comes_back(url: str) -> None:
    with router(url, None, None, 100, largest=1, hold_s=60.0, lease_s=3.0) as dying:
        start(dying)
        assert dying.stdout is not None
        assert [dying.stdout.readline() for _ in range(40)] == ["inside\n"] * 40
    async with limits(url) as limiter, Redis.from_url(url) as redis:
        assert 0 < await redis.pttl("rerank:concurrent/a") <= 3_000
        with pytest.raises(RateLimited, match="others hold 40 and this request 61"):
            await rank(limiter, caller(at_once=100), 61)
        await rank(limiter, caller(at_once=100), 60)
        await asyncio.sleep(3.1)
        await rank(limiter, caller(at_once=100), 100)


async def test_after_the_time_that_it_names_a_request_is_let_in(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serve_app.router.limits.WINDOW_S", 1)
    asking = caller(documents=100)
    async with limits(url) as limiter:
        await rank(limiter, asking, 80)
        for documents in (30, 100, 5, 90):
            try:
                await rank(limiter, asking, documents)
            except LimitReached as error:
                await asyncio.sleep(error.retry_after_s)
                await rank(limiter, asking, documents)


async def test_a_burst_that_is_larger_than_the_pool_is_no_outage(url: str, caplog: pytest.LogCaptureFixture) -> None:
    asking = caller(requests=1_000, documents=1_000, at_once=1_000)
    async with limits(url) as limiter:
        await asyncio.gather(*(rank(limiter, asking) for _ in range(300)))
        with pytest.raises(RateLimited, match="has 700 of its 1000"):
            await rank(limiter, asking, 701)
    assert not caplog.records


async def test_a_connection_that_was_closed_while_it_was_idle_is_no_outage(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with limits(url) as limiter, Redis.from_url(url) as redis:
        for _ in range(3):
            await asyncio.gather(*(rank(limiter, caller(documents=1_000)) for _ in range(5)))
            await redis.client_kill_filter(_type="normal", skipme=True)
    assert not caplog.records


async def test_a_request_that_is_cancelled_in_any_of_its_awaits_ends_and_gives_back(url: str) -> None:
    asking = caller(requests=1_000, documents=10_000, at_once=100)
    async with limits(url) as limiter:
        for step in range(60):
            working = asyncio.create_task(_work(limiter, asking))
            await asyncio.sleep(step * 0.0001)
            working.cancel()
            await asyncio.wait([working], timeout=WITHIN_S)
            assert working.cancelled()
        await rank(limiter, caller(at_once=100), 100)


async def test_a_request_in_a_scope_that_is_cancelled_for_good_gives_back(url: str) -> None:
    asking = caller(at_once=100)
    async with limits(url) as limiter, Redis.from_url(url) as redis:
        with anyio.CancelScope() as scope:  # as Starlette's, where each further await is cancelled too
            async with limiter.admit(asking, 100, 30.0):
                await redis.client_kill_filter(_type="normal", skipme=True)  # so that giving back takes several
                scope.cancel()
                await asyncio.sleep(60)
        await asyncio.sleep(0.1)
        await rank(limiter, asking, 100)


async def _work(limiter: RateLimiter, asking: Caller) -> None:
    async with limiter.admit(asking, 100, 30.0):
        await asyncio.sleep(60)
