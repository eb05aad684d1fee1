"""What callers wish for over HTTP, and what every reply tells of the choice."""

from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from serve_app.router.caller import EVERYBODY, Caller
from serve_app.scoring import Load, ScorerState
from tests.fakes import FakeScorers
from tests.router.building import House

pytestmark = pytest.mark.anyio
READY = {name: ScorerState("ready", 1, "cpu", "fp32") for name in ("rerank-tiny", "minilm-l6", "minilm-l12")}
CALLERS: dict[str | None, Caller] = {
    None: EVERYBODY,
    "six": Caller("six", models=frozenset({"minilm-l6"}), default_model="minilm-l6"),
}
BODY: dict[str, Any] = {"query": "q", "documents": ["a" * 400] * 10}
PACE = 10_000.0
"""About 950 tokens take 95 ms, whichever variant."""


@pytest.fixture
def house() -> House:
    return House(CALLERS, scorers=FakeScorers(states=dict(READY), load=Load(950, tokens_per_s=PACE)))


async def _ask(house: House, headers: Mapping[str, str] | None = None, /, **fields: Any) -> httpx.Response:
    path = fields.pop("path", "/v1/rerank")
    async with house.client() as client:
        return await client.post(path, json={**BODY, **fields}, headers=dict(headers or {}))


async def test_a_name_is_answered_as_ever_and_the_headers_tell(house: House) -> None:
    answer = await _ask(house, model="minilm-l6")
    assert set(answer.json()["meta"]) == {"api_version", "billed_units", "tokens"}
    assert answer.headers["x-rerank-model"] == "cross-encoder/ms-marco-MiniLM-L6-v2"
    assert answer.headers["x-rerank-because"] == "named"
    assert float(answer.headers["x-rerank-predicted-ms"]) > 0
    assert "x-rerank-degraded" not in answer.headers
    assert house.scorers.looks == 0  # Ray is not asked where a model is named


@pytest.mark.parametrize("model", [None, "auto"])
async def test_without_a_wish_the_default_route_answers(house: House, model: str | None) -> None:
    answer = await _ask(house, model=model)
    assert answer.headers["x-rerank-because"] == "default route"
    assert "because" not in answer.json()["meta"]
    mine = await _ask(house, {"authorization": "six"}, model=model)
    assert mine.json()["model"] == "cross-encoder/ms-marco-MiniLM-L6-v2"
    assert house.scorers.looks == 0


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/cohere/v1/rerank"])
async def test_a_budget_chooses_and_the_body_says_why(house: House, path: str) -> None:
    answer = await _ask(house, path=path, max_latency_ms=10_000)
    assert answer.headers["x-rerank-model"] == "cross-encoder/ms-marco-MiniLM-L12-v2"
    meta = answer.json()["meta"]
    assert meta["because"] == answer.headers["x-rerank-because"]
    assert meta["because"].startswith("most accurate that fits 10000 ms")
    assert not {"degraded", "warnings"} & set(meta)


async def test_what_was_learnt_decides_the_next_choice(house: House) -> None:
    """A V100 would answer in time, by the published speeds. This machine does not, as each tells in its turn."""
    answers = [await _ask(house, max_latency_ms=60) for _ in range(4)]
    chosen = [answer.json()["model"].split("/")[1] for answer in answers]
    assert chosen[:3] == ["ms-marco-MiniLM-L12-v2", "ms-marco-MiniLM-L6-v2", "rerank-tiny"]
    assert ["x-rerank-degraded" in answer.headers for answer in answers] == [False, False, False, True]


async def test_a_budget_that_nobody_fits(house: House) -> None:
    answer = await _ask(house, max_latency_ms=0.001)
    assert answer.headers["x-rerank-degraded"] == "true"
    meta = answer.json()["meta"]
    assert meta["degraded"] is True
    assert meta["because"].startswith("no variant fits 0.001 ms; the fastest is rerank-tiny at ")
    refused = await _ask(house, max_latency_ms=0.001, strict=True)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "no_variant_fits")
    assert "the fastest is rerank-tiny at " in refused.json()["message"]


async def test_a_name_wins_over_a_budget_and_warns(house: House) -> None:
    answer = await _ask(house, model="minilm-l6", max_latency_ms=1, strict=True)
    meta = answer.json()["meta"]
    assert (meta["because"], len(meta["warnings"])) == ("named", 1)
    assert "max_latency_ms not considered: minilm-l6 was named" in meta["warnings"][0]
    assert answer.headers["x-rerank-warnings"] == meta["warnings"][0]
    by_path = await _ask(house, path="/v1/models/minilm-l6/rerank", max_latency_ms=1)
    assert by_path.json()["meta"]["warnings"] == meta["warnings"]


async def test_only_what_the_key_may_use_is_chosen(house: House) -> None:
    key = {"authorization": "six"}
    for wish in ({"max_latency_ms": 10_000}, {"min_ndcg": 60}, {"model": "tier:balanced"}):
        assert (await _ask(house, key, **wish)).json()["model"].endswith("L6-v2")
    refused = await _ask(house, key, model="tier:fast")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
    beyond = await _ask(house, key, min_ndcg=74.305)
    assert "the best is minilm-l6 at 74.3" in beyond.json()["message"]


async def test_other_dialects_say_it_in_headers_and_the_body_wins(house: House) -> None:
    async with house.client() as client:
        tei = {"query": "q", "texts": ["a"]}
        cheap = await client.post("/rerank", json=tei, headers={"x-rerank-max-price-per-1k-docs": "0.02"})
        assert cheap.headers["x-rerank-model"].endswith("L6-v2")
        refused = await client.post(
            "/rerank", json=tei, headers={"x-rerank-max-latency-ms": "0.001", "x-rerank-strict": "true"}
        )
        assert (refused.status_code, refused.json()["error_type"]) == (503, "Unhealthy")
        floor = await client.post("/rerank", json=tei, headers={"x-rerank-min-ndcg": "74.305"})
        assert floor.headers["x-rerank-model"].endswith("L12-v2")
    both = await _ask(house, {"x-rerank-min-ndcg": "99"}, min_ndcg=74.305)
    assert both.headers["x-rerank-model"].endswith("L12-v2")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"max_latency_ms": 0}, "max_latency_ms: Input should be greater than 0"),
        ({"max_latency_ms": -5}, "max_latency_ms"),
        ({"max_price_per_1k_docs": 0}, "max_price_per_1k_docs"),
        ({"min_ndcg": 101}, "min_ndcg: Input should be less than or equal to 100"),
        ({"min_ndcg": 99}, "no variant that can answer has an NDCG@10 of 99; the best is minilm-l12 at 74.31"),
        ({"strict": "perhaps"}, "strict"),
    ],
)
async def test_a_wish_that_cannot_be(house: House, fields: dict[str, Any], said: str) -> None:
    refused = await _ask(house, **fields)
    assert refused.status_code == 422
    assert said in refused.json()["message"]
    assert not house.scorers.jobs


async def test_an_unknown_tier_names_the_tiers(house: House) -> None:
    refused = await _ask(house, model="tier:best", max_latency_ms=5)
    assert refused.status_code == 404
    assert "the tiers are fast, balanced, accurate" in refused.json()["message"]


async def test_what_has_no_weights_is_passed_over(house: House) -> None:
    house.scorers.states["minilm-l12"] = ScorerState("unavailable", 1, reason="no weights")
    assert (await _ask(house, max_latency_ms=10_000)).json()["model"].endswith("L6-v2")


async def test_the_list_of_models_takes_the_same_wishes(house: House) -> None:
    async with house.client() as client:
        assert (await client.get("/v1/models/auto")).json()["name"] == "rerank-tiny"
        assert (await client.get("/v1/models/tier:accurate")).json()["name"] == "minilm-l12"
