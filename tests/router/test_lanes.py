"""Routes over HTTP: lanes answer their shares, canaries fail at nobody's cost, a ladder is stepped down."""

from collections import Counter
from typing import Any

import httpx
import pytest

from serve_app.errors import DeadlineExceeded, EngineFailure, Overloaded, RerankError
from serve_app.routes import Lane, Route, ShadowLane, Sticky
from serve_app.scoring import Load, ScorerState, Waiting
from tests.fakes import settle
from tests.router.lanes import CALLERS, L6, L12, LaneHouse, LaneScorers, ask, declare, route

pytestmark = pytest.mark.anyio


@pytest.fixture
def house() -> LaneHouse:
    return LaneHouse(CALLERS, scorers=LaneScorers())


async def test_a_route_answers_by_its_lane(house: LaneHouse) -> None:
    await declare(house, route())
    answer = await ask(house)
    assert answer.json()["model"] == L6
    assert answer.headers["x-rerank-route"] == "search"
    assert answer.headers["x-rerank-because"] == "route search: lane with 100.0% of the requests"


async def test_lanes_share_the_queries_and_keep_them(house: LaneHouse) -> None:
    await declare(house, route(25))
    first = [(await ask(house, query=f"q{number}")).json()["model"] for number in range(200)]
    assert first == [(await ask(house, query=f"q{number}")).json()["model"] for number in range(200)]
    assert 30 <= Counter(first)[L12] <= 70


@pytest.mark.parametrize("sticky", [Sticky.USER, Sticky.KEY])
async def test_one_caller_has_one_lane(house: LaneHouse, sticky: Sticky) -> None:
    await declare(house, route(50, sticky=sticky))
    found = {(await ask(house, query=f"q{number}", user="ann")).json()["model"] for number in range(20)}
    assert len(found) == 1


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/jina/v1/rerank"])
async def test_a_route_speaks_every_dialect(house: LaneHouse, path: str) -> None:
    await declare(house, route())
    assert (await ask(house, path=path)).headers["x-rerank-route"] == "search"


async def test_the_default_route_answers_what_names_nothing(house: LaneHouse) -> None:
    await declare(house, route(name="default"), route(name="search"))
    for model in (None, "auto"):
        assert (await ask(house, model=model)).headers["x-rerank-route"] == "default"
    assert (await ask(house, {"authorization": "mine"}, model=None)).headers["x-rerank-route"] == "search"
    bounded = await ask(house, model=None, min_ndcg=70)
    assert "x-rerank-route" not in bounded.headers


async def test_bounds_do_not_move_a_route(house: LaneHouse) -> None:
    await declare(house, route())
    answer = await ask(house, max_latency_ms=1)
    assert "max_latency_ms not considered: the route search was named" in answer.headers["x-rerank-warnings"]


async def _until_stepped_down(house: LaneHouse) -> httpx.Response:
    """The first answer of another rung."""
    for number in range(200):
        answer = await ask(house, query=f"q{number}")
        if "x-rerank-degraded" in answer.headers:
            return answer
    raise AssertionError("no request was answered by the ladder")


async def test_under_overload_a_route_steps_down_its_ladder(house: LaneHouse) -> None:
    for name in ("minilm-l6", "minilm-l2", "tinybert-l2-v2", "rerank-tiny"):
        house.scorers.states[name] = ScorerState("ready", 1, "cpu", "fp32")
    await declare(house, route(target_ms=100, ladder=("minilm-l2", "tier:fast")))
    house.scorers.load = Load(100, waiting=(Waiting(10_000, 1),), tokens_per_s=1_000)
    answer = await _until_stepped_down(house)
    assert answer.json()["model"] == "cross-encoder/ms-marco-MiniLM-L2-v2"
    assert answer.headers["x-rerank-because"] == "route search, stepped down to keep 100 ms: named"
    assert answer.headers["x-rerank-route"] == "search"
    assert answer.json()["meta"]["degraded"] is True
    named = await ask(house, model="minilm-l6")
    assert (named.json()["model"], "x-rerank-degraded" in named.headers) == (L6, False)


async def test_of_a_tier_on_the_ladder_what_is_ready_answers(house: LaneHouse) -> None:
    house.scorers.states["rerank-tiny"] = ScorerState("ready", 1, "cpu", "fp32")
    await declare(house, route(target_ms=100, ladder=("tier:fast",)))
    house.scorers.load = Load(100, waiting=(Waiting(10_000, 1),), tokens_per_s=1_000)
    assert (await _until_stepped_down(house)).json()["model"] == "rerank-serve/rerank-tiny"


async def test_a_stepped_down_route_has_no_shadows_and_no_lane(house: LaneHouse) -> None:
    shadows = (ShadowLane(variant="minilm-l12", sample=1),)
    await declare(house, route(target_ms=100, ladder=("minilm-l2",), shadows=shadows))
    house.scorers.load = Load(100, waiting=(Waiting(10_000, 1),), tokens_per_s=1_000)
    await _until_stepped_down(house)
    await settle()
    house.scorers.jobs.clear()
    assert (await ask(house)).json()["model"] == "cross-encoder/ms-marco-MiniLM-L2-v2"
    await settle()
    assert [name for name, _ in house.scorers.jobs] == ["minilm-l2"]
    asked = await ask(house, {"x-rerank-lane": "minilm-l6"})
    assert asked.json()["model"] == L6


@pytest.mark.parametrize("caller", [None, "tester"])
async def test_an_allowed_key_may_choose_the_lane(house: LaneHouse, caller: str | None) -> None:
    await declare(house, route(1))
    headers = {"x-rerank-lane": L12} | ({} if caller is None else {"authorization": caller})
    answers = [await ask(house, headers, query=f"q{number}") for number in range(10)]
    assert {answer.json()["model"] for answer in answers} == {L12}
    assert answers[0].headers["x-rerank-because"] == "route search: its lane was asked for"


@pytest.mark.parametrize(
    ("caller", "fields", "lane", "status", "sentence"),
    [
        ("plain", {}, "minilm-l12", 403, "its scopes lack `lanes`"),
        ("tester", {}, "minilm-l2", 422, "no such lane; its lanes are minilm-l6, minilm-l12"),
        ("tester", {}, "bge", 422, "no such lane"),
        ("tester", {"model": "minilm-l6"}, "minilm-l6", 422, "lanes are of routes, and minilm-l6 is none"),
    ],
)
async def test_lanes_that_cannot_be_chosen(
    house: LaneHouse, caller: str, fields: dict[str, Any], lane: str, status: int, sentence: str
) -> None:
    await declare(house, route(1))
    answer = await ask(house, {"authorization": caller, "x-rerank-lane": lane}, **fields)
    assert (answer.status_code, sentence in answer.text) == (status, True), answer.text


async def test_a_key_may_use_a_route_by_its_name_or_by_all_its_lanes(house: LaneHouse) -> None:
    await declare(house, route())
    assert (await ask(house, {"authorization": "search"})).status_code == 200
    assert (await ask(house, {"authorization": "six"})).status_code == 200
    house.switchboard.take(await house.desk.put(route(10), None, "ann", "x"))
    refused = await ask(house, {"authorization": "six"})
    assert (refused.status_code, "the route search" in refused.text) == (403, True)


async def test_a_canary_that_fails_costs_nobody_an_answer(house: LaneHouse) -> None:
    await declare(house, route(100))
    house.scorers.failing["minilm-l12"] = EngineFailure("broken")
    answer = await ask(house)
    first, second = (job.timeout_s for _, job in house.scorers.jobs)
    assert second < first  # it has what the canary left
    assert answer.json()["model"] == L6
    assert answer.headers["x-rerank-because"] == ("route search: in the place of the canary minilm-l12, which failed")
    await house.switchboard.exchange(house.desk)
    lanes = (await house.desk.sight()).lanes
    assert (lanes["search", "minilm-l12"].failures, lanes["search", "minilm-l6"].requests) == (1, 1)
    [line] = [line for line in house.ledger._unsent if line.key == "open"]  # what answered is what is paid for
    assert line.model == L6


@pytest.mark.parametrize("error", [DeadlineExceeded("late"), Overloaded("full")])
async def test_what_the_baseline_could_not_answer_either_stays_a_failure(house: LaneHouse, error: RerankError) -> None:
    await declare(house, route(100))
    house.scorers.failing["minilm-l12"] = error
    assert (await ask(house)).status_code == error.status


async def test_a_lane_that_fails_is_no_canary(house: LaneHouse) -> None:
    await declare(house, route())
    house.scorers.failing["minilm-l6"] = EngineFailure("broken")
    assert (await ask(house)).status_code == 500
    other = Lane(variant="minilm-l2", weight=101)
    house.switchboard.take(await house.desk.put(Route(name="search", lanes=(*route().lanes, other)), None, "ann", "x"))
    statuses = {(await ask(house, query=f"q{number}")).status_code for number in range(20)}
    assert statuses == {200, 500}
