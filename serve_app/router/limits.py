"""What a key may have in a minute and at once. A caller and its documents come in; it is let in or told when to return.

Each limit of a minute is a sliding window counter of `limits`: this window's count, and the last one's by the share of
it that a minute's look back still covers. A hit costs the same for 10,000 documents as for one (the moving window keeps
an entry a unit), and what was used up comes back over a minute and not all at once (the fixed window lets twice the
limit through around its end). As of a token bucket, the most that any minute sees is a full limit at once and another
one at the limit's rate.

With a Redis, routers share the counts; while it does not answer, each router counts alone. It knows no HTTP and no key
itself, and doesn't know what a document costs. Measured, all three limits of a key: 0.09 ms an `admit` in memory (0.21
with 1,000 keys in use, as `limits` looks for what has ended), 0.7 ms with a Redis on loopback, 0.5 of it this process.
"""

import asyncio
import logging
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Literal

from limits.aio.storage import MemoryStorage, RedisStorage, SlidingWindowCounterSupport
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from serve_app.errors import RETRY_AFTER_S, ConfigurationError, RateLimited, TooManyDocuments
from serve_app.router.caller import Allowance, Caller
from serve_app.router.concurrency import Concurrency, Lease, OwnConcurrency, SharedConcurrency
from serve_app.router.standing import LimitReached, Remaining, Standing, Window

WINDOW_S = 60
REDIS_TIMEOUT_S = 1.0  # half of it passed with a healthy Redis on a machine whose cores were taken threefold
REDIS_CONNECTIONS = 32
PROBE_EVERY_S = 1.0
"""How often a Redis that does not answer is tried, beside the requests: none waits for it."""
_PREFIX = "rerank"
_PROBE = Lease("", 1, PROBE_EVERY_S)
_OUTAGE = (RedisError, OSError)
_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log

_Counted = Literal["requests", "documents"]


@dataclass(frozen=True, slots=True)
class _Counts:
    """One place to count in, which answers in time or raises TimeoutError.

    The timeouts are not redis-py's (8.1.0): its `socket_timeout` is an asyncio.wait_for, which in Python 3.11 lets a
    cancel go by unheard when the wait is just over, and a request whose client has gone away then went on.
    """

    minutes: SlidingWindowCounterSupport
    concurrency: Concurrency

    async def hit(self, what: _Counted, key: str, limit: int, cost: int) -> bool:
        """Whether it fits; what does not is not counted."""
        async with asyncio.timeout(REDIS_TIMEOUT_S):
            return await self.minutes.acquire_sliding_window_entry(f"{what}/{key}", limit, WINDOW_S, cost)

    async def window(self, what: _Counted, key: str) -> Window:
        async with asyncio.timeout(REDIS_TIMEOUT_S):
            return Window(*await self.minutes.get_sliding_window(f"{what}/{key}", WINDOW_S), WINDOW_S)

    async def take(self, lease: Lease, limit: int) -> int:
        async with asyncio.timeout(REDIS_TIMEOUT_S):
            return await self.concurrency.take(lease, limit)

    async def give(self, lease: Lease) -> None:
        async with asyncio.timeout(REDIS_TIMEOUT_S):
            await self.concurrency.give(lease)

    async def standing(self, caller: Caller) -> Standing:
        return Standing(
            await self._remaining("requests", caller.key, caller.allowance.requests_per_minute),
            await self._remaining("documents", caller.key, caller.allowance.documents_per_minute),
        )

    async def _remaining(self, what: _Counted, key: str, limit: int | None) -> Remaining | None:
        if limit is None:
            return None
        window = await self.window(what, key)
        return Remaining(limit, window.left(limit), window.wait_s(limit, limit))


class RateLimiter:
    """The limits of every key, in this router or in all that share a Redis."""

    def __init__(self, redis_url: str | None) -> None:
        """Raises ConfigurationError when it is no URL of a Redis; whether one answers is found out by using it."""
        self._own = _Counts(MemoryStorage(), OwnConcurrency())
        self._redis = None if redis_url is None else Redis.from_pool(_pool(redis_url))
        self._shared = None if self._redis is None else _shared(self._redis)
        self._probing: asyncio.Task[None] | None = None
        self._giving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def admit(self, caller: Caller, documents: int, lease_s: float) -> AsyncIterator[Standing]:
        """Counts the request, then its documents, and holds these until the block ends, for `lease_s` at most.

        Raises TooManyDocuments when the key may never have as many, LimitReached when not now. A request refused for
        its documents has counted as a request; one refused for what is at work has not used up documents of the minute.
        """
        if caller.allowance == Allowance():
            yield Standing()
            return
        _refuse_what_never_fits(caller.allowance, documents)
        lease = Lease(caller.key, documents, lease_s)
        async with AsyncExitStack() as held:
            yield await self._count(caller, lease, held)

    async def close(self) -> None:
        """Ends the connections, once what is held was given back."""
        if self._probing is not None:
            self._probing.cancel()
        await asyncio.gather(*self._giving)
        if self._redis is not None:
            await self._redis.aclose()

    async def _count(self, caller: Caller, lease: Lease, held: AsyncExitStack) -> Standing:
        if self._shared is not None and self._probing is None:
            try:
                return await self._count_in(self._shared, caller, lease, held)
            except _OUTAGE as error:
                self._lose(self._shared, error)
        return await self._count_in(self._own, caller, lease, held)

    async def _count_in(self, counts: _Counts, caller: Caller, lease: Lease, held: AsyncExitStack) -> Standing:
        allowance = caller.allowance
        limit = allowance.requests_per_minute
        if limit is not None and not await counts.hit("requests", caller.key, limit, 1):
            raise await _too_many_requests(counts, caller, limit)
        limit = allowance.concurrent_documents
        if limit is not None:
            held.push_async_callback(self._give_back, counts, lease)
            others = await counts.take(lease, limit)
            if others + lease.documents > limit:
                raise _too_much_at_work(await counts.standing(caller), limit, others, lease.documents)
        limit = allowance.documents_per_minute
        if limit is not None and not await counts.hit("documents", caller.key, limit, lease.documents):
            raise await _too_many_documents(counts, caller, limit, lease.documents)
        return await counts.standing(caller)

    async def _give_back(self, counts: _Counts, lease: Lease) -> None:
        """Also when the request is cancelled, as it is when its client goes away, and no await of its ends any more."""
        giving = asyncio.create_task(self._give(counts, lease))
        self._giving.add(giving)
        giving.add_done_callback(self._giving.discard)
        await asyncio.shield(giving)

    async def _give(self, counts: _Counts, lease: Lease) -> None:
        if counts is self._shared and self._probing is not None:
            return  # it ends there by itself
        try:
            await counts.give(lease)
        except _OUTAGE as error:
            self._lose(counts, error)

    def _lose(self, shared: _Counts, error: Exception) -> None:
        """Counts alone from now on, until Redis answers."""
        if self._probing is None:
            # Never the error's text: a server that does not know AUTH repeats its arguments.
            _log.warning("Redis does not answer (%s): each router counts rate limits alone", type(error).__name__)
            self._probing = asyncio.create_task(self._probe(shared))

    async def _probe(self, shared: _Counts) -> None:
        while True:
            await asyncio.sleep(PROBE_EVERY_S)
            try:
                # What a request does, and not a ping, which a full or read-only Redis answers too.
                await shared.take(_PROBE, 1)
                await shared.give(_PROBE)
            except _OUTAGE:
                continue
            self._probing = None
            _log.warning("Redis answers again: the routers share rate limits")
            return


def _pool(url: str) -> BlockingConnectionPool:
    """Connections that are waited for: a plain pool fails when all are in use, which would look like an outage."""
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=REDIS_CONNECTIONS,
            timeout=None,  # _Counts has its own
            socket_timeout=None,
            socket_connect_timeout=None,
            # A connection that was closed while it was idle is only noticed by using it (redis-py 8.1.0).
            retry=Retry(NoBackoff(), 1, (RedisConnectionError,)),
        )
        pool.connection_class(**pool.connection_kwargs)  # connects nothing; an option that there is not is found here
    except (ValueError, TypeError):  # whose text may hold the password
        raise ConfigurationError("the Redis URL of the rate limits is none: write redis://host:6379/0") from None
    return pool


def _shared(redis: Redis) -> _Counts:
    minutes = RedisStorage(
        "async+redis://",
        implementation="redispy",
        key_prefix=_PREFIX,
        connection_pool=redis.connection_pool,  # type: ignore[arg-type]  # documented, and not in its types (5.8.0)
    )
    return _Counts(minutes, SharedConcurrency(redis, _PREFIX))


def _refuse_what_never_fits(allowance: Allowance, documents: int) -> None:
    for limit, when in ((allowance.documents_per_minute, "a minute"), (allowance.concurrent_documents, "at once")):
        if limit is not None and documents > limit:
            raise TooManyDocuments(
                f"this key may rank {limit} documents {when}, and this request holds {documents}: send them in parts",
                "documents",
            )


async def _too_many_requests(counts: _Counts, caller: Caller, limit: int) -> RateLimited:
    wait_s = (await counts.window("requests", caller.key)).wait_s(limit, 1)
    message = f"this key may send {limit} requests a minute; none is left: try again in {math.ceil(wait_s)} s"
    return LimitReached(message, None, wait_s, await counts.standing(caller))


async def _too_many_documents(counts: _Counts, caller: Caller, limit: int, documents: int) -> RateLimited:
    window = await counts.window("documents", caller.key)
    wait_s = window.wait_s(limit, documents)
    message = (
        f"this key has {window.left(limit)} of its {limit} documents a minute left, and this request holds {documents}"
        f": try again in {math.ceil(wait_s)} s"
    )
    return LimitReached(message, None, wait_s, await counts.standing(caller))


def _too_much_at_work(standing: Standing, limit: int, others: int, documents: int) -> RateLimited:
    message = (
        f"this key may have {limit} documents at work at once; others hold {others} and this request {documents}: "
        "try again when an answer has come"
    )
    return LimitReached(message, None, RETRY_AFTER_S, standing)
