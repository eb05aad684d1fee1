import asyncio

import numpy as np
import pytest

from serve_app.errors import DeadlineExceeded, EngineFailure, Overloaded, WeightsInvalid
from serve_app.scorer.demand import WINDOW_S, ReplicaDemand
from serve_app.scorer.packing import Row
from serve_app.scorer.scheduler import Scheduler
from serve_app.scorer.slices import HALVED_EVERY_S
from tests.fakes import FakeClock, FakeDevice, settle

BUDGET = 100


def _rows(*lengths: int) -> list[Row]:
    return [Row(np.zeros(length, dtype=np.int32), 1) for length in lengths]


@pytest.fixture
def device() -> FakeDevice:
    return FakeDevice()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def scheduler(device: FakeDevice, clock: FakeClock) -> Scheduler:
    return Scheduler(device, BUDGET, clock=clock)


@pytest.mark.anyio
async def test_what_arrives_while_the_device_is_busy_goes_next_as_one_batch(
    scheduler: Scheduler, device: FakeDevice, clock: FakeClock
) -> None:
    first = asyncio.create_task(scheduler.score(_rows(90), 60))
    await asyncio.sleep(0.01)
    others = [asyncio.create_task(scheduler.score(_rows(20, 10), 60)) for _ in range(2)]
    await asyncio.sleep(0)
    clock.now += 2.0
    await device.finish()
    clock.now += 3.0
    await device.finish()
    assert [[part.tokens for part in release] for release in device.releases] == [[90], [40, 40]]
    assert (await first).logits == (90.0,)
    scored = [await other for other in others]
    assert [each.logits for each in scored] == [(20.0, 10.0)] * 2
    assert [(each.queue_s, each.inference_s) for each in scored] == [(2.0, 3.0)] * 2


@pytest.mark.anyio
async def test_of_one_size_the_first_goes_first(scheduler: Scheduler, device: FakeDevice, clock: FakeClock) -> None:
    """100 tokens take 0.1 s here, so they look half as long for every 0.2 s of waiting."""
    first = asyncio.create_task(scheduler.score(_rows(100), 60))
    await settle()
    clock.now += 0.1
    await device.finish()
    await first
    busy = asyncio.create_task(scheduler.score(_rows(50), 60))
    await settle()
    larger = asyncio.create_task(scheduler.score(_rows(100), 60))
    await settle()
    clock.now += 0.1
    smaller = asyncio.create_task(scheduler.score(_rows(80), 60))
    await settle()
    await device.finish()
    assert [part.tokens for part in device.releases[-1]] == [100]
    await device.finish()
    await device.finish()
    await asyncio.gather(busy, larger, smaller)


@pytest.mark.anyio
async def test_an_answer_tells_what_is_left_to_do(scheduler: Scheduler, device: FakeDevice, clock: FakeClock) -> None:
    first = asyncio.create_task(scheduler.score(_rows(80), 60))
    await settle()
    large = asyncio.create_task(scheduler.score(_rows(90, 60, 60), 60))
    small = asyncio.create_task(scheduler.score(_rows(40), 60))
    await settle()
    clock.now += HALVED_EVERY_S
    await device.finish()
    load = (await first).load
    assert (load.job_tokens, load.tokens_per_s) == (80, 80 / HALVED_EVERY_S)
    assert load.device_tokens + sum(waiting.tokens for waiting in load.waiting) == 90 + 60 + 60 + 40
    assert all(waiting.apparent_tokens == waiting.tokens / 2 for waiting in load.waiting)
    for task in (small, large):
        task.cancel()


@pytest.mark.anyio
async def test_logits_come_back_in_the_order_of_the_rows(scheduler: Scheduler, device: FakeDevice) -> None:
    lengths = [30, 90, 10, 60, 20, 80]
    task = asyncio.create_task(scheduler.score(_rows(*lengths), 60))
    await asyncio.sleep(0)
    while not task.done():
        await asyncio.sleep(0)
        await device.finish()
    assert task.result().logits == tuple(map(float, lengths))


@pytest.mark.anyio
async def test_a_cancelled_caller_takes_its_waiting_slices_along(scheduler: Scheduler, device: FakeDevice) -> None:
    task = asyncio.create_task(scheduler.score(_rows(90, 90, 90), 60))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.sleep(0)
    await device.finish()
    assert task.cancelled()
    assert len(device.releases) == 1


@pytest.mark.anyio
async def test_an_expired_request_costs_the_device_nothing_more(
    scheduler: Scheduler, device: FakeDevice, clock: FakeClock
) -> None:
    task = asyncio.create_task(scheduler.score(_rows(90, 90), 5))
    await asyncio.sleep(0.01)
    clock.now += 6.0
    await device.finish()
    with pytest.raises(DeadlineExceeded):
        await task
    assert len(device.releases) == 1


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "expected"),
    [(WeightsInvalid("mine"), WeightsInvalid), (ZeroDivisionError("/secret"), EngineFailure)],
)
async def test_a_failed_batch_fails_its_requests_and_no_other(
    scheduler: Scheduler, device: FakeDevice, error: Exception, expected: type[Exception]
) -> None:
    task = asyncio.create_task(scheduler.score(_rows(90, 90), 60))
    await asyncio.sleep(0.01)
    other = asyncio.create_task(scheduler.score(_rows(50), 60))
    await asyncio.sleep(0)
    device.error = error
    await device.finish()
    with pytest.raises(expected) as caught:
        await task
    assert "secret" not in str(caught.value)
    device.error = None
    await device.finish()
    assert (await other).logits == (50.0,)


@pytest.mark.anyio
async def test_a_score_that_is_not_finite_is_an_error_and_not_a_rank() -> None:
    async def broken(part: object) -> list[float]:
        return [float("nan")]

    with pytest.raises(EngineFailure, match="not finite"):
        await Scheduler(broken, BUDGET).score(_rows(10), 60)


class _Paced:
    """A scheduler whose device has been seen to take a second for 100 tokens."""

    def __init__(self) -> None:
        self.device, self.clock = FakeDevice(), FakeClock()
        self.scheduler = Scheduler(self.device, BUDGET, clock=self.clock)

    async def warm(self) -> None:
        first = asyncio.create_task(self.scheduler.score(_rows(50, 50), 1e6))
        await settle()
        self.clock.now += 1.0
        await self.device.finish()
        await first


@pytest.mark.anyio
async def test_a_request_that_cannot_be_answered_in_time_is_refused_before_it_waits() -> None:
    paced = _Paced()
    await paced.warm()
    waiting = [asyncio.create_task(paced.scheduler.score(_rows(*[50] * 10), 1e6)) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(
        Overloaded, match=r"would take about 16\.0 s, and 8\.0 s are left: try again in 8\.0 s"
    ) as caught:
        await paced.scheduler.score(_rows(*[50] * 12), 8.0)  # behind 10 s of work, and 6 s itself
    assert caught.value.retry_after_s == pytest.approx(8.0)
    small = asyncio.create_task(paced.scheduler.score(_rows(10), 8.0))  # goes before them
    for _ in range(11):
        await paced.device.finish()
    await asyncio.gather(*waiting, small)


@pytest.mark.anyio
async def test_a_request_that_takes_too_long_by_itself_is_told_so() -> None:
    paced = _Paced()
    await paced.warm()
    with pytest.raises(DeadlineExceeded, match=r"take about 6\.0 s to score, and 2\.0 s are left: send fewer"):
        await paced.scheduler.score(_rows(*[50] * 12), 2.0)
    assert not paced.scheduler._callers


@pytest.mark.anyio
async def test_what_is_on_the_device_is_waited_for_too() -> None:
    paced = _Paced()
    await paced.warm()
    running = asyncio.create_task(paced.scheduler.score(_rows(50, 50), 1e6))
    await settle()
    with pytest.raises(Overloaded, match=r"would take about 7\.0 s, and 5\.0 s are left"):
        await paced.scheduler.score(_rows(*[50] * 12), 5.0)
    await paced.device.finish()
    await running


@pytest.mark.anyio
async def test_what_is_asked_of_a_replica_counts_what_it_refuses(
    scheduler: Scheduler, device: FakeDevice, clock: FakeClock
) -> None:
    first = asyncio.create_task(scheduler.score(_rows(100), 60))
    await settle()
    clock.now += 1.0
    await device.finish()
    await first
    with pytest.raises(DeadlineExceeded):
        await scheduler.score(_rows(50, 50), 0.1)
    assert scheduler.demand() == ReplicaDemand(200 / WINDOW_S, 2 / WINDOW_S, 0, 100)
