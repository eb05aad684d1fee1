"""Operators over HTTP: routes are looked at, changed, changed back; what cannot be is a sentence."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from serve_app.catalog import Variant
from serve_app.errors import DeadlineExceeded, EngineFailure, RerankError, WeightsUnavailable
from serve_app.router.caller import Caller
from serve_app.scoring import ScoreJob, ScoreOutcome
from tests.fakes import FakeScorers, settle
from tests.router.building import House

pytestmark = pytest.mark.anyio
CALLERS: dict[str | None, Caller] = {"admin": Caller("k1", admin=True), "plain": Caller("k2")}
TERMS: dict[str, Any] = {"lanes": [{"variant": "minilm-l6", "weight": 100}]}
CANARY: dict[str, Any] = {
    "lanes": [
        {"variant": "minilm-l6", "weight": 90},
        {"variant": "minilm-l12", "weight": 10, "guard": {"max_latency_ratio": None}},
    ],
    "shadows": [{"variant": "minilm-l2", "sample": 1}],
}


class ProvedScorers(FakeScorers):
    """Some variants cannot answer."""

    unable: Mapping[str, RerankError] = {}

    async def score(self, variant: Variant, job: ScoreJob) -> ScoreOutcome:
        outcome = await super().score(variant, job)
        if variant.name in self.unable:
            raise self.unable[variant.name]
        return outcome


@pytest.fixture
def house() -> House:
    return House(CALLERS, scorers=ProvedScorers())


async def _send(
    house: House, method: str, path: str, json: Any = None, key: str = "admin", **headers: str
) -> httpx.Response:
    async with house.client() as client:
        return await client.request(method, path, json=json, headers={"authorization": key, **headers})


async def _put(house: House, terms: Any = TERMS, name: str = "search", **headers: str) -> httpx.Response:
    return await _send(
        house, "PUT", f"/admin/routes/{name}", terms, **{key.replace("_", "-"): v for key, v in headers.items()}
    )


async def _refused(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    message: str = answer.json()["error"]["message"]
    return message


async def test_a_route_that_is_put_answers_at_once(house: House) -> None:
    changed = await _put(house)
    assert changed.json() == {"version": 1, "what": "search: minilm-l6 100"}
    answer = await _send(house, "POST", "/v1/rerank", {"model": "search", "query": "q", "documents": ["a"]})
    assert answer.headers["x-rerank-route"] == "search"
    assert house.desk is not None
    assert (await house.desk.sight()).book.changes[-1].who == "k1"


async def test_all_there_is_to_see(house: House) -> None:
    await _put(house, CANARY)
    for number in range(20):
        await _send(house, "POST", "/v1/rerank", {"model": "search", "query": f"q{number}", "documents": ["a", "bb"]})
        await settle()
    shown = (await _send(house, "GET", "/admin/routes")).json()
    assert shown["version"] == 1
    [change] = shown["changes"]
    assert (change["who"], change["what"]) == (
        "k1",
        "search: minilm-l6 90, minilm-l12 10 (canary), minilm-l2 follows 100%",
    )
    [route] = shown["routes"]
    assert route["name"] == "search"
    assert route["terms"]["lanes"][1]["guard"]["max_latency_ratio"] is None
    lanes = {lane["variant"]: lane for lane in route["lanes"]}
    assert [(name, lane["share"], lane["canary"]) for name, lane in lanes.items()] == [
        ("minilm-l6", 0.9, False),
        ("minilm-l12", 0.1, True),
    ]
    assert sum(lane["requests"] for lane in lanes.values()) == 20
    assert lanes["minilm-l6"]["p50_ms"] > 0
    [shadow] = route["shadows"]
    assert (shadow["variant"], shadow["requests"], shadow["mean_tau"]) == ("minilm-l2", 20, 1.0)
    assert set(route["evidence"]) == {"errors", "agreement"}
    assert (await _put(house, route["terms"])).status_code == 200  # what is shown can be put


async def test_changes_are_taken_back_one_by_one(house: House) -> None:
    await _put(house)
    await _put(house, CANARY)
    undone = await _send(house, "POST", "/admin/routes/undo")
    assert undone.json() == {"version": 3, "what": "undone, back to version 1"}
    assert (await _send(house, "POST", "/admin/routes/undo")).json()["what"] == "undone, back to no routes"
    assert "no change is left" in await _refused(await _send(house, "POST", "/admin/routes/undo"), 422)


async def test_a_route_is_removed(house: House) -> None:
    await _put(house)
    assert (await _send(house, "DELETE", "/admin/routes/search")).json()["what"] == "search: removed"
    assert "no route 'search'" in await _refused(await _send(house, "DELETE", "/admin/routes/search"), 404)
    asked = await _send(house, "POST", "/v1/rerank", {"model": "search", "query": "q", "documents": ["a"]})
    assert asked.status_code == 404


@pytest.mark.parametrize("tag", ["1", '"1"', 'W/"1"', "*"])
async def test_a_change_of_the_version_that_is(house: House, tag: str) -> None:
    await _put(house)
    assert (await _put(house, CANARY, if_match=tag)).status_code == 200


async def test_a_change_of_another_version_is_refused(house: House) -> None:
    await _put(house)
    assert "at version 1 and not 0" in await _refused(await _put(house, CANARY, if_match='"0"'), 409)
    assert "no version" in await _refused(await _put(house, CANARY, if_match="latest"), 422)
    for method, path in (("DELETE", "/admin/routes/search"), ("POST", "/admin/routes/undo")):
        assert (await _send(house, method, path, **{"if-match": "7"})).status_code == 409


@pytest.mark.parametrize(
    ("name", "terms", "sentence"),
    [
        ("search", {"lanes": [{"variant": "minilm-l6", "weight": 0}]}, "all weights are 0"),
        ("search", {"lanes": [{"variant": "bge", "weight": 1}]}, "names 'bge', which is not in the catalog"),
        ("search", {"lanes": [{"variant": "search", "weight": 1}]}, "is a route, and a lane is a variant or a cascade"),
        ("minilm-l6", TERMS, "a variant or cascade has this name"),
        ("Search!", TERMS, "name: String should match pattern"),
        ("search", {"lanes": []}, "lanes: Tuple should have at least 1 item"),
        ("search", {}, "lanes: Field required"),
        ("search", {**TERMS, "weight": 1}, "weight: Extra inputs are not permitted"),
        (
            "search",
            {"lanes": [{"variant": "minilm-l6", "weight": 1}, {"variant": "ms-marco-MiniLM-L6-v2", "weight": 1}]},
            "minilm-l6 has two lanes",
        ),
    ],
)
async def test_routes_that_cannot_be(house: House, name: str, terms: Any, sentence: str) -> None:
    assert sentence in await _refused(await _put(house, terms, name), 422)
    assert (await house.desk.sight()).book.version == 0


async def test_what_cannot_answer_gets_no_traffic(house: House) -> None:
    house.scorers.unable = {"minilm-l12": WeightsUnavailable("its weights are nowhere")}  # type: ignore[attr-defined]
    assert "minilm-l12 cannot be a lane of search: its weights are nowhere" in await _refused(
        await _put(house, CANARY), 422
    )
    house.scorers.unable = {"minilm-l2": EngineFailure("scores that are not finite")}  # type: ignore[attr-defined]
    assert "minilm-l2 cannot be a lane of search: scores" in await _refused(await _put(house, CANARY), 422)
    house.scorers.unable = {"minilm-l2": DeadlineExceeded("it starts")}  # type: ignore[attr-defined]
    await _refused(await _put(house, CANARY), 504)
    assert (await house.desk.sight()).book.version == 0


async def test_only_what_is_new_has_to_prove_itself(house: House) -> None:
    await _put(house)
    house.scorers.jobs.clear()
    await _put(house, CANARY)
    assert sorted(name for name, _ in house.scorers.jobs) == ["minilm-l12", "minilm-l2"]


async def test_disagreements_are_of_routes_that_are(house: House) -> None:
    await _put(house)
    assert (await _send(house, "GET", "/admin/routes/search/disagreements")).json() == {"data": []}
    assert (await _send(house, "GET", "/admin/routes/other/disagreements")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/admin/routes"),
        ("PUT", "/admin/routes/search"),
        ("DELETE", "/admin/routes/search"),
        ("POST", "/admin/routes/undo"),
        ("GET", "/admin/routes/search/disagreements"),
    ],
)
async def test_operators_need_an_admin_key(house: House, method: str, path: str) -> None:
    await _put(house)
    assert "its scopes lack `admin`" in await _refused(await _send(house, method, path, TERMS, key="plain"), 403)
    assert (await _send(house, method, path, TERMS, key="nobody")).status_code == 401
