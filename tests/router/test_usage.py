"""The ledger over a sink in memory, which fails when it is told to, and against a clock that a test turns."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime

import pytest

from serve_app.errors import UsageUnavailable
from serve_app.router.charge import Account, Charge
from serve_app.router.usage import Ledger
from tests.fakes import FakeClock, FakeMeter
from tests.router.memory_sink import MemorySink

pytestmark = pytest.mark.anyio

LAST_OF_NOVEMBER, FIRST_OF_DECEMBER = date(2026, 11, 30), date(2026, 12, 1)
YEAR = (date(2026, 1, 1), date(2026, 12, 31))
ONE = Charge(requests=1, documents=2, pairs=3, tokens=40, search_units=1, nano_usd=7)


def account(day: date = LAST_OF_NOVEMBER, key: str = "a", model: str = "m") -> Account:
    return Account(day, key, model)


@pytest.fixture
def sink() -> MemorySink:
    return MemorySink()


@pytest.fixture
def clock() -> FakeClock:
    clock = FakeClock()
    clock.now = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
    return clock


@pytest.fixture
def ledger(sink: MemorySink, clock: FakeClock) -> Ledger:
    return Ledger(sink, flush_every_s=3_600, clock=clock)


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose day begins fourteen hours before that of UTC."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "EAST-14")
        time.tzset()
        yield
    time.tzset()


async def until(comes_true: Callable[[], bool]) -> None:
    for _ in range(5_000):
        if comes_true():
            return
        await asyncio.sleep(0.001)
    raise TimeoutError


async def total(ledger: Ledger) -> Charge:
    lines = await ledger.usage(*YEAR, (), None)
    return lines[0].charge if lines else Charge()


async def test_a_flush_writes_one_batch_of_all_that_was_counted(ledger: Ledger, sink: MemorySink) -> None:
    for key in ("a", "b", "a"):
        ledger.count(account(key=key), ONE)
    assert sink.asked == []
    await ledger.flush()
    await ledger.flush()  # nothing is left to write
    ledger.count(account(), ONE)
    await ledger.flush()
    (first, amounts), (second, newer) = sink.asked
    assert (amounts, newer) == ({account(key="a"): ONE + ONE, account(key="b"): ONE}, {account(): ONE})
    assert first != second


async def test_a_write_that_arrived_though_its_answer_was_lost_counts_once(ledger: Ledger, sink: MemorySink) -> None:
    ledger.count(account(), ONE)
    sink.losing = True
    with pytest.raises(UsageUnavailable):
        await ledger.flush()
    sink.losing = False
    ledger.count(account(), ONE)
    await ledger.flush()
    (first, _), (again, repeated), (other, newer) = sink.asked
    assert again == first != other
    assert repeated == newer == {account(): ONE}  # what is counted later is never put into a batch that was sent
    assert await total(ledger) == ONE + ONE


async def test_while_the_sink_is_away_one_batch_waits_and_newer_counts_add_up(ledger: Ledger, sink: MemorySink) -> None:
    sink.failing = True
    for _ in range(100):
        ledger.count(account(), ONE)
        with pytest.raises(UsageUnavailable):
            await ledger.flush()
    assert len({batch_id for batch_id, _ in sink.asked}) == 1
    sink.failing = False
    await ledger.flush()
    assert len(sink.batches) == 2
    assert (await total(ledger)).requests == 100


async def test_a_flush_that_is_cancelled_while_it_writes_counts_once(ledger: Ledger, sink: MemorySink) -> None:
    ledger.count(account(), ONE)
    sink.gate.clear()
    asking = asyncio.create_task(ledger.usage(*YEAR, (), None))  # a client that goes away
    await until(lambda: len(sink.asked) == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    sink.gate.set()
    assert await total(ledger) == ONE
    assert [batch_id for batch_id, _ in sink.asked] == [sink.asked[0][0]] * 2


async def test_counts_of_many_tasks_during_flushes_and_failures_equal_the_sum(ledger: Ledger, sink: MemorySink) -> None:
    async def count(key: str) -> None:
        for number in range(1_250):
            ledger.count(account(key=key), Charge(requests=1, tokens=number))
            if number % 10 == 0:
                await asyncio.sleep(0)

    async def flush() -> None:
        for number in range(200):
            sink.failing, sink.losing = number % 3 == 1, number % 3 == 2
            try:
                await ledger.flush()
            except UsageUnavailable:
                await asyncio.sleep(0)

    await asyncio.gather(*(count(f"k{number % 4}") for number in range(8)), flush(), flush())
    sink.failing = sink.losing = False
    assert await total(ledger) == Charge(requests=10_000, tokens=8 * sum(range(1_250)))


async def test_run_flushes_at_once_and_again_after_a_failure(
    sink: MemorySink, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Ledger(sink, flush_every_s=0.001, clock=clock)
    sink.batches["before"] = {account(): ONE}
    with caplog.at_level(logging.WARNING, logger="ray.serve"):
        running = asyncio.create_task(ledger.run(FakeMeter()))
        await until(lambda: ledger.spent_nano("a") == 7)  # before anything was counted
        sink.failing = True
        ledger.count(account(), ONE)
        await until(lambda: len(sink.asked) == 3)
        sink.failing = False
        await until(lambda: "usage is written again, and none was lost" in caplog.messages)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert caplog.messages == [
        "the sink is away; it is tried again every 0.001 s",  # once, however often it is tried
        "usage is written again, and none was lost",
    ]
    assert len(sink.batches) == 2


async def test_how_far_the_ledger_is_behind_is_measured(sink: MemorySink, clock: FakeClock) -> None:
    ledger, meter = Ledger(sink, flush_every_s=0.001, clock=clock), FakeMeter()
    running = asyncio.create_task(ledger.run(meter))
    behind = ("rerank_ledger_behind_seconds",)
    await until(lambda: meter.measured[behind] == [0.0])
    sink.failing = True
    ledger.count(account(), ONE)
    clock.now += 30.0
    await until(lambda: meter.measured[behind] == [30.0])
    sink.failing = False
    await until(lambda: meter.measured[behind] == [0.0])
    running.cancel()


async def test_close_writes_what_is_left(ledger: Ledger, sink: MemorySink) -> None:
    ledger.count(account(), ONE)
    await ledger.close()
    assert list(sink.batches.values()) == [{account(): ONE}]
    assert sink.closed


async def test_close_logs_what_a_sink_did_not_take(
    ledger: Ledger, sink: MemorySink, caplog: pytest.LogCaptureFixture
) -> None:
    sink.failing = True
    ledger.count(account(), ONE)
    with pytest.raises(UsageUnavailable):
        await ledger.flush()
    ledger.count(account(), ONE)
    with caplog.at_level(logging.ERROR, logger="ray.serve"), pytest.raises(UsageUnavailable):
        await ledger.close()
    assert caplog.messages == ["usage not written: 2 requests, $0.000000014"]
    assert sink.closed


async def test_spent_is_what_others_wrote_and_what_waits_here(ledger: Ledger, sink: MemorySink) -> None:
    ledger.count(account(), ONE)
    assert ledger.spent_nano("a") == 7
    sink.batches["of another router"] = {account(): Charge(nano_usd=100), account(key="b"): Charge(nano_usd=50)}
    assert (ledger.spent_nano("a"), ledger.spent_nano("b")) == (7, 0)
    await ledger.flush()
    assert (ledger.spent_nano("a"), ledger.spent_nano("b")) == (107, 50)
    ledger.count(account(), ONE)
    assert ledger.spent_nano("a") == 114
    assert ledger.spent_nano("nobody") == 0


async def test_spent_counts_nothing_twice_or_not_at_all_when_the_sink_fails(ledger: Ledger, sink: MemorySink) -> None:
    ledger.count(account(), ONE)
    sink.losing = True
    with pytest.raises(UsageUnavailable):
        await ledger.flush()
    assert ledger.spent_nano("a") == 7
    sink.losing, sink.reading_fails = False, True
    with pytest.raises(UsageUnavailable):
        await ledger.flush()
    assert ledger.spent_nano("a") == 7
    sink.reading_fails = False
    await ledger.flush()
    assert ledger.spent_nano("a") == 7


async def test_spent_keeps_what_is_counted_while_totals_are_read(ledger: Ledger, sink: MemorySink) -> None:
    sink.gate.clear()
    flushing = asyncio.create_task(ledger.flush())
    await asyncio.sleep(0)
    ledger.count(account(), ONE)
    sink.gate.set()
    await flushing
    assert ledger.spent_nano("a") == 7
    await ledger.flush()
    assert ledger.spent_nano("a") == 7


@pytest.mark.usefixtures("far_east")
async def test_spent_begins_anew_with_the_utc_month(ledger: Ledger, clock: FakeClock) -> None:
    clock.now = datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC).timestamp()
    ledger.count(account(), ONE)
    await ledger.flush()
    assert ledger.spent_nano("a") == 7
    clock.now += 1
    assert ledger.spent_nano("a") == 0  # without a flush
    ledger.count(account(), ONE)  # began in November
    ledger.count(account(FIRST_OF_DECEMBER), ONE + ONE)
    assert ledger.spent_nano("a") == 14
    await ledger.flush()
    assert ledger.spent_nano("a") == 14
