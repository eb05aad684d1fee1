"""A sink of the ledger in memory, for tests: it fails, loses its answer or takes its time when it is told to."""

import asyncio
from collections.abc import Mapping
from datetime import date

from serve_app.errors import UsageUnavailable
from serve_app.router.charge import Account, Charge


class MemorySink:
    """Takes a batch id once, as real sinks do; `failing` fails before the work, `losing` after it."""

    def __init__(self) -> None:
        self.batches: dict[str, Mapping[Account, Charge]] = {}
        self.asked: list[tuple[str, dict[Account, Charge]]] = []
        self.failing = False
        self.losing = False
        self.reading_fails = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.closed = False

    async def write(self, batch_id: str, amounts: Mapping[Account, Charge]) -> None:
        self.asked.append((batch_id, dict(amounts)))
        await asyncio.sleep(0)
        if self.failing:
            raise UsageUnavailable("the sink is away")
        self.batches.setdefault(batch_id, amounts)
        await self.gate.wait()
        if self.losing:
            raise UsageUnavailable("the answer was lost")

    async def read(self, first: date, last: date, key: str | None) -> list[tuple[Account, Charge]]:
        charges = (pair for amounts in self.batches.values() for pair in amounts.items())
        return [(a, c) for a, c in charges if first <= a.day <= last and key in (None, a.key)]

    async def spent(self, month: date) -> Mapping[str, int]:
        await self.gate.wait()
        if self.reading_fails:
            raise UsageUnavailable("the sink is away")
        totals: dict[str, int] = {}
        for account, charge in await self.read(date.min, date.max, None):
            if (account.day.year, account.day.month) == (month.year, month.month):
                totals[account.key] = totals.get(account.key, 0) + charge.nano_usd
        return totals

    async def close(self) -> None:
        self.closed = True
