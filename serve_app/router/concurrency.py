"""How many documents of a key are at work at once. A lease comes in when a request starts and again when it ends.

`limits` counts what passes in a minute; nothing in it is given back, so this is ours: in the memory of one router, or
in Redis for all of them. It doesn't know what is done with a request that does not fit, nor what to do when Redis
does not answer: redis-py's errors leave as they are.
"""

from dataclasses import dataclass, field
from typing import Protocol
from uuid import uuid4

from redis.asyncio import Redis

# A sorted set for each key of the service: a lease's id and documents, by the time on Redis's clock when it ends, so
# that what a dead router holds comes back. Summing the leases is slower than keeping a total beside them, and cannot
# drift from them: measured at 0.4 ms for 1,000 requests of one key at work.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local held = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    held = held + tonumber(string.match(member, ':(%d+)$'))
end
if held + tonumber(ARGV[2]) <= tonumber(ARGV[4]) then
    redis.call('ZADD', KEYS[1], now + tonumber(ARGV[3]), ARGV[1] .. ':' .. ARGV[2])
    redis.call('PEXPIREAT', KEYS[1], redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2])
end
return held
"""


@dataclass(frozen=True, slots=True)
class Lease:
    """Documents of one request that are at work, for `seconds` at most."""

    key: str
    """The public id of the key that sent them."""
    documents: int
    seconds: float
    id: str = field(default_factory=lambda: uuid4().hex)


class Concurrency(Protocol):
    """Who holds what."""

    async def take(self, lease: Lease, limit: int) -> int:
        """Documents that the key's other leases hold; the lease is taken when it fits beside them within `limit`."""

    async def give(self, lease: Lease) -> None:
        """Gives back what the lease holds; nothing when it was not taken or has ended."""


class OwnConcurrency:
    """In the memory of this process. Its leases do not end by themselves: the memory dies with the router."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, int]] = {}

    async def take(self, lease: Lease, limit: int) -> int:
        """Adds up what the others hold."""
        leases = self._held.setdefault(lease.key, {})
        held = sum(leases.values())
        if held + lease.documents <= limit:
            leases[lease.id] = lease.documents
        return held

    async def give(self, lease: Lease) -> None:
        """Forgets it."""
        leases = self._held.get(lease.key, {})
        leases.pop(lease.id, None)
        if not leases:
            self._held.pop(lease.key, None)


class SharedConcurrency:
    """In Redis, for every router that uses the same."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix
        self._take = redis.register_script(_TAKE)

    async def take(self, lease: Lease, limit: int) -> int:
        """One round trip."""
        arguments: list[str | int] = [lease.id, lease.documents, max(1, round(lease.seconds * 1000)), limit]
        return int(await self._take([self._name(lease)], arguments))

    async def give(self, lease: Lease) -> None:
        """One round trip."""
        await self._redis.zrem(self._name(lease), f"{lease.id}:{lease.documents}")

    def _name(self, lease: Lease) -> str:
        return f"{self._prefix}:concurrent/{lease.key}"
