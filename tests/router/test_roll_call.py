import asyncio
from collections.abc import Sequence

import pytest

from serve_app.catalog import Catalog, Variant
from serve_app.router.roll_call import LOOK_EVERY_S, TOO_OLD_S, RollCall
from serve_app.scoring import ScorerState
from tests.fakes import FakeClock, settle

pytestmark = pytest.mark.anyio


class SlowLook:
    """Sees as many replicas as it has looked times, once it is let."""

    def __init__(self) -> None:
        self.looks = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def __call__(self, variants: Sequence[Variant]) -> list[ScorerState]:
        self.looks += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [ScorerState("ready", self.looks) for _ in variants]


async def _replicas(roll_call: RollCall) -> int:
    return (await roll_call.states())["minilm-l6"].replicas


async def test_what_was_seen_is_answered_at_once_and_seen_again_meanwhile(catalog: Catalog) -> None:
    look, clock = SlowLook(), FakeClock()
    roll_call = RollCall(list(catalog.variants.values()), look, clock)
    assert [await _replicas(roll_call) for _ in range(3)] == [1, 1, 1]
    look.gate.clear()
    clock.now += LOOK_EVERY_S
    assert [await _replicas(roll_call) for _ in range(3)] == [1, 1, 1]
    look.gate.set()
    await settle()
    assert (await _replicas(roll_call), look.looks) == (2, 2)


async def test_what_is_too_old_is_waited_for_by_all_who_ask(catalog: Catalog) -> None:
    look, clock = SlowLook(), FakeClock()
    roll_call = RollCall(list(catalog.variants.values()), look, clock)
    await roll_call.states()
    look.gate.clear()
    clock.now += TOO_OLD_S
    first, second = (asyncio.create_task(_replicas(roll_call)) for _ in range(2))
    await settle()
    assert not second.done()
    first.cancel()
    look.gate.set()
    assert (await second, look.looks) == (2, 2)


async def test_a_look_that_fails_leaves_what_was_seen(catalog: Catalog) -> None:
    look, clock = SlowLook(), FakeClock()
    roll_call = RollCall(list(catalog.variants.values()), look, clock)
    await roll_call.states()
    look.error = RuntimeError("the controller is away")
    clock.now += LOOK_EVERY_S
    for _ in range(2):
        assert await _replicas(roll_call) == 1
        await settle()
    look.error = None
    await roll_call.states()
    await settle()
    assert await _replicas(roll_call) == look.looks
