"""The ledger of what was used. Charges of answered requests come in; batches go out to a sink, totals come back.

A charge is added up in memory and written in the background, as one batch a flush. Nothing is lost when the ledger
is closed; a process that dies takes with it what it counted since its last flush, which is at most one interval
while the sink answers. A batch keeps its id until the sink says that it has it, and a sink takes an id only once: a
write whose answer was lost is not counted twice. The ledger belongs to one event loop. It does not know what a
request costs, whether a key is valid, or where the sink keeps its numbers.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Protocol
from uuid import uuid4

from serve_app.errors import UsageUnavailable
from serve_app.metrics import LEDGER_BEHIND_S, Meter
from serve_app.router.charge import NANO, Account, Charge

_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log


class Sink(Protocol):
    """Where the ledger's numbers stay. Every method raises UsageUnavailable, and then may have done its work or not."""

    async def write(self, batch_id: str, amounts: Mapping[Account, Charge]) -> None:
        """Add the amounts, all or none of them; nothing when a batch of this id came within the last 7 days."""

    async def read(self, first: date, last: date, key: str | None) -> list[tuple[Account, Charge]]:
        """What was added for days from `first` to `last`, both included; of every key when `key` is None."""

    async def spent(self, month: date) -> Mapping[str, int]:
        """Nano dollars that each key has spent in the month of this day."""

    async def close(self) -> None:
        """Let go of files and connections."""


class Grouping(StrEnum):
    """What lines of usage may be grouped by."""

    DAY = "day"
    MODEL = "model"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class UsageLine:
    """What was used by one group; a field that lines are not grouped by is None."""

    charge: Charge
    day: date | None = None
    model: str | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class _Batch:
    id: str
    amounts: Mapping[Account, Charge]


class Ledger:
    """Counts charges, writes them to `sink` every `flush_every_s` seconds; `clock` gives seconds since 1970, UTC."""

    def __init__(self, sink: Sink, flush_every_s: float, clock: Callable[[], float] = time.time) -> None:
        self._sink = sink
        self._flush_every_s = flush_every_s
        self._clock = clock
        self._unsent: dict[Account, Charge] = {}
        # What was sent and not confirmed. There is one at most: newer counts wait, added up, until the sink has it.
        self._sent: _Batch | None = None
        self._spent: Counter[tuple[date, str]] = Counter()
        self._flushing = asyncio.Lock()
        self._written = clock()
        """When all that was counted until then had been written."""

    def count(self, account: Account, charge: Charge) -> None:
        """Add one charge; no I/O."""
        self._unsent[account] = self._unsent.get(account, Charge()) + charge
        self._spent[_month(account.day), account.key] += charge.nano_usd

    def spent_nano(self, key: str) -> int:
        """Nano dollars that `key` spent this UTC month: counted here, or written by others before the last flush."""
        return self._spent[_month(self._today()), key]

    async def flush(self) -> None:
        """Write what was counted, then read what every key has spent; raises UsageUnavailable and forgets nothing."""
        async with self._flushing:
            await self._write()
            await self._read_spent()

    @property
    def behind_s(self) -> float:
        """For how long usage may have been counted that is not written: what a crash would lose."""
        return self._clock() - self._written

    async def run(self, meter: Meter) -> None:
        """Flush now, and after every interval, until cancelled; a sink that fails is asked again an interval later."""
        failed = False
        while True:
            try:
                await self.flush()
            except UsageUnavailable as error:
                if not failed:
                    _log.warning("%s; it is tried again every %g s", error, self._flush_every_s)
                failed = True
            else:
                if failed:
                    _log.warning("usage is written again, and none was lost")
                failed = False
            meter.set(LEDGER_BEHIND_S, self.behind_s)
            await asyncio.sleep(self._flush_every_s)

    async def close(self) -> None:
        """Write what is left and close the sink; logs what is lost and raises UsageUnavailable where that fails."""
        try:
            async with self._flushing:
                await self._write()
        except UsageUnavailable:
            lost = sum(self._waiting(), Charge())
            _log.error("usage not written: %d requests, $%.9f", lost.requests, lost.nano_usd / NANO)
            raise
        finally:
            await self._sink.close()

    async def usage(self, first: date, last: date, by: tuple[Grouping, ...], key: str | None) -> list[UsageLine]:
        """What was used on days from `first` to `last`, of one key or of all; raises UsageUnavailable."""
        await self.flush()
        return grouped(await self._sink.read(first, last, key), by)

    async def _write(self) -> None:
        began = self._clock()
        if self._sent is not None:
            await self._confirm(self._sent)
        if self._unsent:
            self._sent = _Batch(uuid4().hex, self._unsent)
            self._unsent = {}
            await self._confirm(self._sent)
        self._written = began

    async def _confirm(self, batch: _Batch) -> None:
        # Cancelled or failed, the batch stays: whether it arrived is not known.
        await self._sink.write(batch.id, batch.amounts)
        self._sent = None

    async def _read_spent(self) -> None:
        month = _month(self._today())
        written = await self._sink.spent(month)
        # What was counted meanwhile is in no batch yet, thus not among the written.
        self._spent = Counter({(month, key): nano for key, nano in written.items()})
        for account, charge in self._unsent.items():
            self._spent[_month(account.day), account.key] += charge.nano_usd

    def _waiting(self) -> list[Charge]:
        return [*self._unsent.values(), *(self._sent.amounts.values() if self._sent else ())]

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock(), UTC).date()


def grouped(amounts: Iterable[tuple[Account, Charge]], by: tuple[Grouping, ...]) -> list[UsageLine]:
    """Charges added up by the fields in `by`, and sorted by them in that order."""
    lines: dict[tuple[str, ...], UsageLine] = {}
    for account, charge in amounts:
        texts = {Grouping.DAY: account.day.isoformat(), Grouping.MODEL: account.model, Grouping.KEY: account.key}
        group = tuple(texts[field] for field in by)
        known = lines[group].charge if group in lines else Charge()
        lines[group] = UsageLine(
            known + charge,
            day=account.day if Grouping.DAY in by else None,
            model=account.model if Grouping.MODEL in by else None,
            key=account.key if Grouping.KEY in by else None,
        )
    return [line for _, line in sorted(lines.items())]


def _month(day: date) -> date:
    """The first of the month."""
    return day.replace(day=1)
