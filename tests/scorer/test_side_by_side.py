"""Batches that are on their way at once: each is one of its own, and knows whether it is alone."""

import asyncio

import numpy as np
import pytest

from serve_app.scorer.packing import Row
from serve_app.scorer.scheduler import Scheduler
from serve_app.scorer.slices import Slice
from tests.fakes import FakeDevice, settle

BUDGET = 100


def _rows(*lengths: int) -> list[Row]:
    return [Row(np.zeros(length, dtype=np.int32), 1) for length in lengths]


@pytest.fixture
def device() -> FakeDevice:
    return FakeDevice()


class _FormingDevice:
    """A fake of @serve.batch before a device: what has come by the time it looks, a little later, is one batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.alone: list[bool] = []
        self.ended: list[asyncio.Event] = []
        self.scheduler = Scheduler(self, BUDGET, at_once=2)
        self._coming: list[int] = []

    async def __call__(self, part: Slice) -> list[float]:
        self._coming.append(part.tokens)
        if len(self._coming) == 1:
            self.ended.append(asyncio.Event())
            self._forming = asyncio.create_task(self._form())
        ended = self.ended[-1]
        await ended.wait()
        return [float(len(row.ids)) for row in part.rows]

    async def _form(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)
        self.batches.append(self._coming)
        self._coming = []
        self.alone.append(self.scheduler.taken())


@pytest.mark.anyio
async def test_the_next_batch_is_another_one_beside_the_one_that_is_computed() -> None:
    device = _FormingDevice()
    task = asyncio.create_task(device.scheduler.score(_rows(90, 90, 80, 70, 60), 60))
    await asyncio.sleep(0.01)
    assert device.batches == [[60], [70]]
    device.ended[1].set()
    await asyncio.sleep(0.01)
    assert device.batches == [[60], [70], [80]]
    device.ended[0].set()
    device.ended[2].set()  # two that end in one moment are followed by two
    await asyncio.sleep(0.01)
    assert device.batches == [[60], [70], [80], [90], [90]]
    device.ended[3].set()
    device.ended[4].set()
    assert (await task).logits == (90.0, 90.0, 80.0, 70.0, 60.0)
    assert not any(device.alone)


@pytest.mark.anyio
async def test_one_that_comes_later_is_computed_at_once_and_is_not_alone() -> None:
    device = _FormingDevice()
    first = asyncio.create_task(device.scheduler.score(_rows(90), 60))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(device.scheduler.score(_rows(80), 60))
    await asyncio.sleep(0.01)
    assert device.batches == [[90], [80]]
    assert device.alone == [True, False]
    for ended in device.ended:
        ended.set()
    assert [(await task).logits for task in (first, second)] == [(90.0,), (80.0,)]


@pytest.mark.anyio
async def test_a_batch_that_nobody_takes_is_waited_for(device: FakeDevice) -> None:
    """One that fails before it is computed, for instance."""
    scheduler = Scheduler(device, BUDGET, at_once=2)
    task = asyncio.create_task(scheduler.score(_rows(90, 80), 60))
    await settle()
    assert [[part.tokens for part in held] for held in device.releases] == [[80]]
    await device.finish()
    await device.finish()
    assert (await task).logits == (90.0, 80.0)
