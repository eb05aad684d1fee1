"""What a scheduler refuses because too much of its like waits."""

import asyncio

import numpy as np
import pytest

from serve_app.errors import Overloaded
from serve_app.scorer.packing import Row
from serve_app.scorer.scheduler import ALWAYS_HELD, Scheduler
from tests.fakes import FakeClock, FakeDevice, settle

BUDGET = 100


def _rows(*lengths: int) -> list[Row]:
    return [Row(np.zeros(length, dtype=np.int32), 1) for length in lengths]


class Crowded:
    """A scheduler with requests of 100 tokens that wait, behind a device that takes a second for each."""

    def __init__(self, requests: int, max_wait_s: float) -> None:
        self.device, self.clock = FakeDevice(), FakeClock()
        self.scheduler = Scheduler(self.device, BUDGET, max_wait_s=max_wait_s, clock=self.clock)
        self.requests = requests

    async def __aenter__(self) -> Scheduler:
        first = asyncio.create_task(self.scheduler.score(_rows(100), 60))
        await settle()
        self.clock.now += 1.0
        await self.device.finish()
        await first
        self.waiting = [asyncio.create_task(self.scheduler.score(_rows(100), 60)) for _ in range(self.requests)]
        await settle()
        return self.scheduler

    async def __aexit__(self, *_: object) -> None:
        for task in self.waiting:
            task.cancel()
        await asyncio.gather(*self.waiting, return_exceptions=True)
        await self.device.finish()


@pytest.mark.anyio
async def test_what_would_wait_too_long_is_refused_and_told_when_to_come_back() -> None:
    async with Crowded(10, max_wait_s=9.0) as scheduler:
        with pytest.raises(Overloaded, match=r"would wait about 10\.0 s for its turn: try again in 1\.0 s") as refused:
            scheduler.require_room(100)
        assert refused.value.retry_after_s == pytest.approx(1.0)


@pytest.mark.anyio
async def test_a_large_request_may_wait_for_some_times_of_what_it_takes() -> None:
    async with Crowded(10, max_wait_s=4.0) as scheduler:
        scheduler.require_room(126)  # 8 x 1.26 s are more than the 10 s that wait
        with pytest.raises(Overloaded):
            scheduler.require_room(124)


@pytest.mark.anyio
@pytest.mark.parametrize("waited_s", [0.0, 60.0])
async def test_what_is_small_has_room_beside_a_crowd_of_large_ones(waited_s: float) -> None:
    crowded = Crowded(10, max_wait_s=4.0)
    async with crowded as scheduler:
        crowded.clock.now += waited_s  # by then any of them goes first
        scheduler.require_room(20)


@pytest.mark.anyio
@pytest.mark.parametrize(("requests", "max_wait_s"), [(ALWAYS_HELD - 1, 0.1), (10, 10.5)])
async def test_few_callers_are_no_overload_and_a_short_queue_is_none(requests: int, max_wait_s: float) -> None:
    async with Crowded(requests, max_wait_s) as scheduler:
        scheduler.require_room(100)


@pytest.mark.anyio
async def test_what_is_refused_for_room_is_demand() -> None:
    async with Crowded(10, max_wait_s=1.0) as scheduler:
        before = scheduler.demand().arriving_tokens_per_s
        with pytest.raises(Overloaded):
            scheduler.require_room(100)
        assert scheduler.demand().arriving_tokens_per_s > before
