"""What both sinks of the ledger promise, over SQLite files and a real Redis server."""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Mapping
from ctypes import c_longlong
from datetime import date, timedelta
from multiprocessing.context import SpawnProcess
from pathlib import Path

import pytest
from redis import Redis

from serve_app.errors import UsageUnavailable
from serve_app.router.charge import Account, Charge
from serve_app.router.usage import Ledger, Sink
from serve_app.router.usage_redis import RedisSink
from serve_app.router.usage_sqlite import SqliteSink
from tests.fakes import FakeMeter

pytestmark = pytest.mark.anyio

TODAY = date(2026, 11, 30)
YEAR = (date(2026, 1, 1), date(2026, 12, 31))
ALWAYS = (date.min, date.max)
ONE = Charge(requests=1, documents=2, pairs=3, tokens=40, search_units=1, nano_usd=7)
SPAWN = multiprocessing.get_context("spawn")


def open_sink(address: str) -> Sink:
    """Any process opens the same store by its address."""
    return RedisSink(address) if address.startswith("redis:") else SqliteSink(Path(address))


@pytest.fixture(params=["sqlite", "redis"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store."""
    if request.param == "sqlite":
        return str(tmp_path / "state" / "usage.sqlite")
    url: str = request.getfixturevalue("redis_url")
    with Redis.from_url(url) as redis:
        redis.flushall()
    return url


@pytest.fixture
async def sink(address: str) -> AsyncIterator[Sink]:
    sink = open_sink(address)
    yield sink
    await sink.close()


async def total(sink: Sink) -> Charge:
    return sum((charge for _, charge in await sink.read(*ALWAYS, None)), Charge())


async def test_amounts_add_up_by_day_key_and_model(sink: Sink) -> None:
    accounts = [
        Account(day, key, model)
        for day in (TODAY, TODAY + timedelta(1))
        for key in ("a", "b|c")
        for model in ("cross-encoder/x", "y")
    ]
    await sink.write("first", dict.fromkeys(accounts, ONE))
    await sink.write("second", {accounts[0]: ONE, accounts[-1]: Charge(tokens=2**62)})
    amounts = dict(await sink.read(*YEAR, None))
    assert set(amounts) == set(accounts)
    assert amounts[accounts[0]] == ONE + ONE
    assert amounts[accounts[1]] == ONE
    assert amounts[accounts[-1]] == ONE + Charge(tokens=2**62)  # no sum goes through a float


async def test_the_same_batch_written_twice_counts_once(sink: Sink, address: str) -> None:
    batch = {Account(TODAY, "a", "m"): ONE, Account(TODAY, "b", "m"): ONE}
    await sink.write("one", batch)
    await sink.write("one", batch)
    another_router = open_sink(address)
    await another_router.write("one", batch)
    await another_router.close()
    assert await total(sink) == ONE + ONE
    assert await sink.spent(TODAY) == {"a": 7, "b": 7}
    await sink.write("two", batch)
    assert await sink.spent(TODAY) == {"a": 14, "b": 14}


async def test_reading_takes_days_and_a_key(sink: Sink) -> None:
    days = [TODAY - timedelta(1), TODAY, TODAY + timedelta(1)]
    await sink.write("one", {Account(day, key, "m"): ONE for day in days for key in ("a", "b")})
    assert dict(await sink.read(TODAY, TODAY, None)) == {Account(TODAY, key, "m"): ONE for key in ("a", "b")}
    assert dict(await sink.read(days[0], TODAY, "b")) == {Account(day, "b", "m"): ONE for day in days[:2]}
    assert await sink.read(TODAY, TODAY, "nobody") == []
    assert await sink.read(days[2], days[0], None) == []


async def test_spent_is_of_one_month(sink: Sink) -> None:
    days = [date(2026, 10, 31), date(2026, 11, 1), TODAY, date(2026, 12, 1), date(2025, 11, 5)]
    await sink.write("one", {Account(day, "a", model): ONE for day in days for model in ("m", "n")})
    assert await sink.spent(date(2026, 11, 17)) == {"a": 4 * 7}
    assert await sink.spent(date(2026, 10, 1)) == {"a": 2 * 7}
    assert await sink.spent(date(2026, 12, 1)) == {"a": 2 * 7}
    assert await sink.spent(date(2027, 1, 1)) == {}


async def test_usage_outlives_the_process(address: str) -> None:
    ledger = Ledger(open_sink(address), flush_every_s=3_600)
    ledger.count(Account(TODAY, "a", "m"), ONE)
    await ledger.close()
    sink = open_sink(address)
    assert await total(sink) == ONE
    await sink.close()


class LosesAnswers:
    """Every second write arrives at the sink, and its sender is told that it failed."""

    def __init__(self, sink: Sink) -> None:
        self.write_for_sure, self.read, self.spent, self.close = sink.write, sink.read, sink.spent, sink.close
        self.writes = 0

    async def write(self, batch_id: str, amounts: Mapping[Account, Charge]) -> None:
        await self.write_for_sure(batch_id, amounts)
        self.writes += 1
        if self.writes % 2:
            raise UsageUnavailable("the answer was lost")


async def test_ten_thousand_counts_of_eight_tasks_with_lost_answers_equal_the_sum(sink: Sink) -> None:
    ledger = Ledger(LosesAnswers(sink), flush_every_s=0.005)
    flushing = asyncio.create_task(ledger.run(FakeMeter()))

    async def count(key: str) -> None:
        for number in range(1_250):
            ledger.count(Account(TODAY, key, f"m{number % 3}"), ONE)
            if number % 50 == 0:
                await asyncio.sleep(0.002)

    await asyncio.gather(*(count(f"k{number}") for number in range(8)))
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    while True:
        try:
            await ledger.flush()
            break
        except UsageUnavailable:
            continue
    assert await total(sink) == Charge(10_000, 20_000, 30_000, 400_000, 10_000, 70_000)


def write_batches(address: str, name: str, batches: int) -> None:
    async def write() -> None:
        sink = open_sink(address)
        for number in range(batches):
            await sink.write(f"{name} {number}", {Account(TODAY, "a", "m"): ONE, Account(TODAY, name, "m"): ONE})
        await sink.close()

    asyncio.run(write())


async def test_two_processes_write_at_once(address: str) -> None:
    writers = [SPAWN.Process(target=write_batches, args=(address, name, 200)) for name in ("b", "c")]
    for writer in writers:
        writer.start()
    for writer in writers:
        await asyncio.to_thread(writer.join, 60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    sink = open_sink(address)
    assert {account.key: c.requests for account, c in await sink.read(*YEAR, None)} == {"a": 400, "b": 200, "c": 200}
    await sink.close()


def count_until_killed(address: str, counted: c_longlong, older: c_longlong, newer: c_longlong) -> None:
    """Count one a millisecond; tell how many there were when each of the last flushes began that ended."""

    class Watched(LosesAnswers):
        async def write(self, batch_id: str, amounts: Mapping[Account, Charge]) -> None:
            began = counted.value
            await self.write_for_sure(batch_id, amounts)
            older.value, newer.value = newer.value, began

    async def count() -> None:
        ledger = Ledger(Watched(open_sink(address)), flush_every_s=0.2)
        flushing = asyncio.create_task(ledger.run(FakeMeter()))
        while not flushing.done():
            ledger.count(Account(TODAY, "a", "m"), ONE)
            counted.value += 1
            await asyncio.sleep(0.001)

    asyncio.run(count())


def kill_once(process: SpawnProcess, number: c_longlong, reaches: int) -> None:
    until = time.monotonic() + 60
    while number.value < reaches and process.is_alive() and time.monotonic() < until:
        time.sleep(0.013)
    process.kill()
    process.join()


async def test_a_crash_loses_at_most_what_came_since_the_last_flush(address: str) -> None:
    counted, older, newer = (SPAWN.RawValue(c_longlong) for _ in range(3))
    process = SPAWN.Process(target=count_until_killed, args=(address, counted, older, newer))
    process.start()
    await asyncio.to_thread(kill_once, process, older, 200)
    sink = open_sink(address)
    stored = await total(sink)
    await sink.close()
    assert 200 <= older.value < newer.value <= stored.requests <= counted.value + 1
    assert stored.tokens == 40 * stored.requests
