"""Shadows over HTTP: they score copies, answer nobody, are bounded, and are compared with what was answered."""

import asyncio
from collections import Counter

import pytest

from serve_app.catalog import Catalog, Served
from serve_app.errors import EngineFailure, Overloaded, RerankError
from serve_app.router.caller import EVERYBODY
from serve_app.router.ranking import Asked, RerankRequest
from serve_app.router.shadow import MOST_AT_ONCE, MOST_PREDICTED_MS, Answered, Shadows
from serve_app.router.switchboard import Switchboard
from serve_app.routes import ShadowLane
from tests.fakes import FakeMeter, settle
from tests.router.lanes import CALLERS, L6, L12, LaneHouse, LaneScorers, ask, declare, route

pytestmark = pytest.mark.anyio


@pytest.fixture
def house() -> LaneHouse:
    return LaneHouse(CALLERS, scorers=LaneScorers())


async def test_a_shadow_scores_a_copy_and_answers_nobody(house: LaneHouse) -> None:
    await declare(house, route(shadows=(ShadowLane(variant="minilm-l12", sample=1),)))
    house.scorers.inverted.add("minilm-l12")
    answer = await ask(house)
    assert answer.json()["model"] == L6
    assert [result["index"] for result in answer.json()["results"]] == [2, 1, 0]
    await settle()
    assert [name for name, _ in house.scorers.jobs] == ["minilm-l6", "minilm-l12"]
    assert house.scorers.jobs[0][1].documents == house.scorers.jobs[1][1].documents
    await house.switchboard.exchange(house.desk)
    sight = await house.desk.sight()
    assert sight.shadows["search", "minilm-l12"].agreement == -1.0
    [found] = await house.desk.disagreements("search")
    assert (found.answered, found.compared, found.tau, found.query) == ("minilm-l6", "minilm-l12", -1.0, "q")
    assert (found.answered_first, found.compared_first) == (("ccc", "bb", "a"), ("a", "bb", "ccc"))
    assert sum(charge.requests for charge in house.ledger._unsent.values()) == 1  # nobody pays for a shadow


async def test_the_answer_does_not_wait_for_its_shadow(house: LaneHouse) -> None:
    await declare(house, route(shadows=(ShadowLane(variant="minilm-l12", sample=1),)))
    house.scorers.held["minilm-l12"] = asyncio.Event()
    for _ in range(MOST_AT_ONCE + 3):
        assert (await ask(house)).status_code == 200
    await settle()
    names = Counter(name for name, _ in house.scorers.jobs)
    assert names == {"minilm-l6": MOST_AT_ONCE + 3, "minilm-l12": MOST_AT_ONCE}
    assert house.meter.counted["rerank_shadows_total", "search", "minilm-l12", "dropped"] == 3
    house.scorers.held["minilm-l12"].set()
    await settle()
    assert house.meter.counted["rerank_shadows_total", "search", "minilm-l12", "ok"] == MOST_AT_ONCE


@pytest.fixture
def shadowed() -> Answered:
    asked = Asked(("q",), ("a",) * 3_000)
    request = RerankRequest("r", EVERYBODY, asked, 10.0)
    return Answered(route(), "minilm-l6", request, list(range(3_000)))


async def _never(served: Served, request: RerankRequest) -> list[int]:
    await asyncio.Event().wait()
    return []


@pytest.mark.parametrize(("predicted_ms", "outcomes"), [(10.0, [0, 1]), (MOST_PREDICTED_MS + 1, [1, 2])])
async def test_shadows_that_are_too_much_are_dropped(
    catalog: Catalog, shadowed: Answered, predicted_ms: float, outcomes: list[int]
) -> None:
    """By their documents together, and by what the variant has to do already."""
    meter = FakeMeter()
    shadows = Shadows(_never, lambda served, request: predicted_ms, Switchboard(catalog, meter))
    dropped = []
    for _ in outcomes:
        shadows.follow(shadowed, catalog.named("minilm-l12"))
        dropped.append(meter.counted["rerank_shadows_total", "search", "minilm-l12", "dropped"])
    assert dropped == outcomes
    await shadows.close()


async def test_orders_that_agree_are_no_disagreement(house: LaneHouse) -> None:
    await declare(house, route(shadows=(ShadowLane(variant="minilm-l12", sample=1),)))
    await ask(house)
    await settle()
    await house.switchboard.exchange(house.desk)
    assert await house.desk.disagreements("search") == []


async def test_shadows_end_with_the_service(house: LaneHouse) -> None:
    await declare(house, route(shadows=(ShadowLane(variant="minilm-l12", sample=1),)))
    house.scorers.held["minilm-l12"] = asyncio.Event()
    await ask(house)
    await asyncio.wait_for(house.service.close(), 1)


@pytest.mark.parametrize(("error", "outcome"), [(EngineFailure("x"), "engine_failure"), (Overloaded("x"), "dropped")])
async def test_a_shadow_that_fails_is_counted(house: LaneHouse, error: RerankError, outcome: str) -> None:
    await declare(house, route(shadows=(ShadowLane(variant="minilm-l12", sample=1),)))
    house.scorers.failing["minilm-l12"] = error
    assert (await ask(house)).status_code == 200
    await settle()
    assert house.meter.counted["rerank_shadows_total", "search", "minilm-l12", outcome] == 1


async def test_a_cascade_can_be_a_lane_and_a_shadow(house: LaneHouse) -> None:
    cascade = next(iter(house.catalog.cascades))
    await declare(house, route(shadows=(ShadowLane(variant=cascade, sample=1),)))
    assert (await ask(house)).status_code == 200
    await settle()
    assert house.meter.counted["rerank_shadows_total", "search", cascade, "ok"] == 1


async def test_a_canary_is_compared_with_the_baseline(house: LaneHouse) -> None:
    await declare(house, route(100))
    house.scorers.inverted.add("minilm-l12")
    assert (await ask(house)).json()["model"] == L12
    await settle()
    await house.switchboard.exchange(house.desk)
    assert (await house.desk.sight()).lanes["search", "minilm-l12"].agreement == -1.0
