"""A Redis server as the ledger's sink, for routers on several machines.

Batches of amounts come in, amounts by day, key and model go out. The server keeps

    rerank:usage:<day>      hash: <key>|<model>|<amount> → total
    rerank:usage:days       hash: the days that there are → requests
    rerank:spent:<month>    hash: <key> → nano dollars
    rerank:batch:<id>       that a batch came, for seven days

One script adds a batch, so that all of it counts or nothing. The keys have no common hash slot: one server, with
replicas or without, and not a Redis Cluster. How much a server that stops forgets is its own setting (`appendfsync`).
What is charged for, grouping and the time between two batches are not known here.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import astuple, fields
from datetime import date

from serve_app.errors import UsageUnavailable
from serve_app.router.charge import Account, Charge
from serve_app.router.redis_client import answering, connect

_PREFIX = "rerank:"
_DAYS = f"{_PREFIX}usage:days"
_AMOUNTS = tuple(field.name for field in fields(Charge))
_ADD = """
if not redis.call('SET', KEYS[1], 1, 'NX', 'EX', 604800) then
  return 0
end
for i = 1, #ARGV, 3 do
  redis.call('HINCRBY', KEYS[tonumber(ARGV[i])], ARGV[i + 1], ARGV[i + 2])
end
return 1
"""
"""Amounts stay texts: a Lua number would round those above 2^53."""


class RedisSink:
    """Keeps usage in the server at `url` (redis://, rediss:// or unix://); raises ConfigurationError for another."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)

    async def write(self, batch_id: str, amounts: Mapping[Account, Charge]) -> None:
        """Add the amounts unless the batch was seen; raises UsageUnavailable."""
        places: dict[str, int] = {f"{_PREFIX}batch:{batch_id}": 1}
        steps: list[str | int] = []
        for name, field, amount in _increments(amounts):
            steps += (places.setdefault(name, len(places) + 1), field, amount)
        async with _our_errors():
            await self._redis.eval(_ADD, len(places), *places, *steps)

    async def read(self, first: date, last: date, key: str | None) -> list[tuple[Account, Charge]]:
        """What was added for these days; raises UsageUnavailable."""
        async with _our_errors():
            known = [date.fromisoformat(str(day)) for day in await self._redis.hkeys(_DAYS)]
            days = sorted(day for day in known if first <= day <= last)
            hashes = [await self._redis.hgetall(_day_name(day)) for day in days]
        found = [pair for day, totals in zip(days, hashes, strict=True) for pair in _charges(day, totals)]
        return [(account, charge) for account, charge in found if key is None or account.key == key]

    async def spent(self, month: date) -> Mapping[str, int]:
        """Nano dollars of each key in this month; raises UsageUnavailable."""
        async with _our_errors():
            totals = await self._redis.hgetall(_month_name(month))
        return {str(key): int(nano) for key, nano in totals.items()}

    async def close(self) -> None:
        """Close the connections."""
        async with _our_errors():
            await self._redis.aclose()


def _increments(amounts: Mapping[Account, Charge]) -> Iterator[tuple[str, str, int]]:
    """Name of a hash, its field, and what to add there."""
    for account, charge in amounts.items():
        for name, amount in zip(_AMOUNTS, astuple(charge), strict=True):
            yield _day_name(account.day), f"{account.key}|{account.model}|{name}", amount
        yield _DAYS, account.day.isoformat(), charge.requests
        yield _month_name(account.day), account.key, charge.nano_usd


def _charges(day: date, totals: Mapping[str | bytes, str | bytes]) -> Iterator[tuple[Account, Charge]]:
    amounts: defaultdict[Account, dict[str, int]] = defaultdict(dict)
    for field, total in totals.items():
        key, model, name = str(field).rsplit("|", 2)
        amounts[Account(day, key, model)][name] = int(total)
    for account, named in amounts.items():
        yield account, Charge(*(named.get(name, 0) for name in _AMOUNTS))


def _day_name(day: date) -> str:
    return f"{_PREFIX}usage:{day.isoformat()}"


def _month_name(month: date) -> str:
    return f"{_PREFIX}spent:{month:%Y-%m}"


def _our_errors() -> AbstractAsyncContextManager[None]:
    return answering(lambda kind: UsageUnavailable(f"usage cannot be read or written now: Redis fails with {kind}"))
