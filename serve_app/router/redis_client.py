"""A connection to the Redis that routers share: its URL comes in, a client goes out whose failures are ours.

What is kept there is known to `usage_redis` and `book_redis`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from serve_app.errors import ConfigurationError, RerankError

_TIMEOUT_S = 5.0


def connect(url: str) -> Redis:
    """A client of the server at `url` (redis://, rediss:// or unix://); raises ConfigurationError for another."""
    try:
        # One retry is for a connection that the server closed; for a server that is away its users have their own.
        return Redis.from_url(
            url,
            decode_responses=True,
            # Timed below: redis-py times by asyncio.wait_for, which swallows a cancel now and then (Python 3.11),
            # and a ledger that is not cancelled never stops.
            socket_timeout=None,
            socket_connect_timeout=None,
            retry=Retry(NoBackoff(), 1),
        )
    except ValueError:
        # From None: what Redis or urllib says may repeat a piece of the URL, and with it of the password.
        raise ConfigurationError(
            "the URL of Redis cannot be read: it has the form redis://user:password@host:6379/0, "
            "and in the password %2F stands for /, %3F for ? and %23 for #"
        ) from None


@asynccontextmanager
async def answering(failure: Callable[[str], RerankError]) -> AsyncIterator[None]:
    """What is asked inside is answered in time, or fails with the error that `failure` makes of a kind of trouble."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            yield
    except (RedisError, OSError) as error:
        # The kind alone: the text holds the address, and a server that does not know AUTH repeats the password in it.
        raise failure(type(error).__name__) from None
