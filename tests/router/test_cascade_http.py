"""A cascade asked for by name, over fake scorers: what each stage gets, and what dialects, ledger and listing tell."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from serve_app.catalog import Catalog, Variant
from serve_app.errors import InputTooLong, Overloaded
from serve_app.router.caller import EVERYBODY, Caller
from serve_app.router.charge import Account, Charge
from serve_app.scoring import ScoreJob, ScoreOutcome, ScorerState
from tests.fakes import FakeScorers
from tests.router.building import House

pytestmark = pytest.mark.anyio
DOCUMENTS = ["a", "dddd", "bb", "ccc"]
FIRST, SECOND = "rerank-tiny", "minilm-l12"


@dataclass
class StagedScorers(FakeScorers):
    """The last stage likes short documents, which the first does not; each may fail or take its time."""

    failures: dict[str, Exception] = field(default_factory=dict)
    seconds: float = 0.0

    async def score(self, variant: Variant, job: ScoreJob) -> ScoreOutcome:
        outcome = await super().score(variant, job)
        await asyncio.sleep(self.seconds)
        if failure := self.failures.get(variant.name):
            raise failure
        if variant.name != SECOND:
            return outcome
        return ScoreOutcome(tuple(-logit for logit in outcome.logits), outcome.tokens, outcome.pairs, outcome.timings)


@pytest.fixture
def scorers() -> StagedScorers:
    return StagedScorers()


@pytest.fixture
def house(catalog: Catalog, scorers: StagedScorers) -> House:
    """`two` keeps two documents."""
    cascades = {"two": {"stages": [{"variant": FIRST, "keep": 2}, {"variant": SECOND}], "aliases": ["acme/Two"]}}
    changed = Catalog.model_validate({**catalog.model_dump(mode="json"), "cascades": cascades})
    callers = {
        None: EVERYBODY,
        "two": Caller("two", models=frozenset({"ACME/two"}), default_model="two"),
        "l12": Caller("l12", models=frozenset({SECOND}), default_model=SECOND),
    }
    return House(callers, scorers=scorers, catalog=changed)


@pytest.fixture
async def api(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client() as client:
        yield client


async def _ask(api: httpx.AsyncClient, path: str = "/v1/rerank", **fields: Any) -> httpx.Response:
    return await api.post(path, json={"model": "two", "query": "q", "documents": DOCUMENTS, **fields})


async def test_the_second_stage_scores_what_the_first_keeps(api: httpx.AsyncClient, scorers: StagedScorers) -> None:
    response = await _ask(api, model="acme/TWO", raw_scores=True)
    assert [(name, job.documents) for name, job in scorers.jobs] == [
        (FIRST, tuple(DOCUMENTS)),
        (SECOND, ("dddd", "ccc")),
    ]
    body = response.json()
    assert body["model"] == "two"
    assert body["results"] == [
        {"index": 3, "relevance_score": -3.0, "stage": 2},
        {"index": 1, "relevance_score": -4.0, "stage": 2},
        {"index": 2, "relevance_score": -4.0, "stage": 1},
        {"index": 0, "relevance_score": -5.0, "stage": 1},
    ]
    assert body["usage"] == {"prompt_tokens": 42, "total_tokens": 42, "documents": 6}
    assert response.headers["server-timing"] == "queue;dur=2.5, tokenize;dur=5.0, inference;dur=60.0"


@pytest.mark.parametrize("top_n", [1, 2, 3, 9])
async def test_top_n_cuts_the_one_order(api: httpx.AsyncClient, top_n: int) -> None:
    answered = (await _ask(api, top_n=top_n, return_documents=True)).json()["results"]
    assert [each["document"]["text"] for each in answered] == ["ccc", "dddd", "bb", "a"][:top_n]


async def test_a_first_stage_that_would_keep_all_is_not_asked(api: httpx.AsyncClient, scorers: StagedScorers) -> None:
    answered = (await _ask(api, documents=["a", "bb"])).json()
    assert [name for name, _ in scorers.jobs] == [SECOND]
    assert [(each["index"], each["stage"]) for each in answered["results"]] == [(0, 2), (1, 2)]
    assert answered["usage"]["documents"] == 2


async def test_a_variant_has_no_stages(api: httpx.AsyncClient) -> None:
    answered = (await _ask(api, model=FIRST)).json()["results"]
    assert all(set(each) == {"index", "relevance_score"} for each in answered)


async def test_how_documents_are_read_holds_in_every_stage(api: httpx.AsyncClient, scorers: StagedScorers) -> None:
    await _ask(api, max_tokens_per_doc=40, max_chunks_per_doc=3, overlap_tokens=7, truncate=False)
    first, second = (job.reading for _, job in scorers.jobs)
    assert first == second
    assert (first.max_tokens_per_doc, first.max_chunks_per_doc, first.truncate) == (40, 3, False)


async def test_a_later_stage_has_the_time_that_is_left(api: httpx.AsyncClient, scorers: StagedScorers) -> None:
    scorers.seconds = 0.05
    await _ask(api, timeout_ms=1_500)
    first, second = (job.timeout_s for _, job in scorers.jobs)
    assert first == 1.5
    assert 0 < second <= 1.45


async def test_without_time_left_no_further_stage_is_asked(api: httpx.AsyncClient, scorers: StagedScorers) -> None:
    scorers.seconds = 0.02
    late = await _ask(api, timeout_ms=10)
    assert (late.status_code, len(scorers.jobs)) == (504, 1)
    assert "no time was left for cross-encoder/ms-marco-MiniLM-L12-v2" in late.json()["message"]


async def test_a_stage_that_fails_fails_the_request(
    api: httpx.AsyncClient, house: House, scorers: StagedScorers
) -> None:
    scorers.failures[SECOND] = Overloaded("too much is waiting")
    refused = await _ask(api)
    assert (refused.status_code, refused.json()["message"]) == (429, "too much is waiting")
    await house.ledger.flush()
    assert not house.sink.batches


async def test_a_document_too_long_for_a_later_stage_is_told_by_its_place(
    api: httpx.AsyncClient, scorers: StagedScorers
) -> None:
    scorers.failures[SECOND] = InputTooLong("document 1 has 900 tokens", "documents.1")
    assert (await _ask(api, truncate=False)).json()["error"]["param"] == "documents.3"


async def test_each_stage_is_priced_by_its_own_variant(api: httpx.AsyncClient, house: House) -> None:
    await _ask(api)
    await house.ledger.flush()
    account = Account(datetime.now(UTC).date(), EVERYBODY.key, "two")
    charge = Charge(1, 6, 6, 42, 1, 4 * 3_600 + 2 * 34_200)
    assert list(house.sink.batches.values()) == [{account: charge}]


@pytest.mark.parametrize(
    ("path", "fields", "order"),
    [
        ("/v2/rerank", {}, lambda body: [each["index"] for each in body["results"]]),
        ("/jina/v1/rerank", {}, lambda body: [each["index"] for each in body["results"]]),
        ("/vllm/rerank", {}, lambda body: [each["index"] for each in body["results"]]),
        ("/infinity/rerank", {}, lambda body: [each["index"] for each in body["results"]]),
        ("/xinference/v1/rerank", {}, lambda body: [each["index"] for each in body["results"]]),
        ("/voyage/v1/rerank", {}, lambda body: [each["index"] for each in body["data"]]),
        ("/tei/rerank", {"texts": DOCUMENTS}, lambda body: [each["index"] for each in body]),
        (
            "/v1/ranking",
            {"query": {"text": "q"}, "passages": [{"text": text} for text in DOCUMENTS]},
            lambda body: [each["index"] for each in body["rankings"]],
        ),
    ],
)
async def test_every_dialect_gets_the_order_and_nothing_new(
    api: httpx.AsyncClient, path: str, fields: dict[str, Any], order: Any
) -> None:
    response = await _ask(api, path, **fields)
    assert response.status_code == 200, response.text
    assert order(response.json()) == [3, 1, 2, 0]
    assert "stage" not in response.text


async def test_scores_in_the_order_of_the_request(api: httpx.AsyncClient) -> None:
    score = {"text_1": "q", "text_2": DOCUMENTS, "use_activation": False}
    assert [each["score"] for each in (await _ask(api, "/v1/score", **score)).json()["data"]] == [-5, -4, -4, -3]
    weaviate = await api.post(
        "/weaviate/rerank",
        json={"query": "q", "documents": DOCUMENTS, "property": ""},
        headers={"authorization": "two"},
    )
    assert [each["score"] for each in weaviate.json()["scores"]] == [-5, -4, -4, -3]


async def test_a_query_for_each_document_is_refused(api: httpx.AsyncClient, scorers: StagedScorers) -> None:
    refused = await _ask(api, "/v1/score", queries=["p", "q", "r", "s"])
    assert refused.status_code == 422
    assert "two is a cascade" in refused.json()["error"]["message"]
    assert "send one, or name one of rerank-tiny, minilm-l12" in refused.json()["error"]["message"]
    assert not scorers.jobs


async def test_the_listing_tells_stages_and_a_state(api: httpx.AsyncClient, scorers: StagedScorers) -> None:
    scorers.states[FIRST] = ScorerState("ready", 2, "cpu", "bf16")
    scorers.states[SECOND] = ScorerState("unavailable", reason="no weights")
    listed = (await api.get("/v1/models")).json()["data"]
    assert [each["name"] for each in listed if each["stages"]] == ["two"]
    assert listed[-1] == (await api.get("/v1/models/acme/two")).json()
    listed[-1].pop("created")
    assert listed[-1].pop("price_per_1k_docs") == pytest.approx(0.0378)
    assert listed[-1] == {
        "id": "two",
        "object": "model",
        "owned_by": "rerank-serve",
        "model_type": "rerank",
        "name": "two",
        "aliases": ["acme/Two"],
        "tier": "accurate",
        "default": False,
        "pareto": False,
        "licence": "apache-2.0",
        "languages": ["en"],
        "parameters": 4_386_049 + 33_360_385,
        "figures": None,
        "stages": [{"variant": FIRST, "keep": 2}, {"variant": SECOND, "keep": None}],
        "state": {"status": "unavailable", "replicas": 0, "device": None, "dtype": None, "reason": "no weights"},
    }


async def test_tier_never_chooses_a_cascade(api: httpx.AsyncClient) -> None:
    assert (await _ask(api, model="tier:accurate")).json()["model"] == "cross-encoder/ms-marco-MiniLM-L12-v2"


async def test_a_misspelt_name_is_answered_with_the_cascade(api: httpx.AsyncClient) -> None:
    assert "two" in (await _ask(api, model="twoo")).json()["message"]


async def test_a_key_may_use_a_cascade_without_its_stages_and_the_other_way_round(api: httpx.AsyncClient) -> None:
    async def status(key: str, model: str) -> int:
        body = {"model": model, "query": "q", "documents": DOCUMENTS}
        return (await api.post("/v1/rerank", json=body, headers={"authorization": key})).status_code

    assert [await status("two", "two"), await status("two", SECOND)] == [200, 403]
    assert [await status("l12", "two"), await status("l12", SECOND)] == [403, 200]


async def test_a_cascade_may_be_the_default(house: House, scorers: StagedScorers) -> None:
    scorers.states[FIRST] = ScorerState("ready", 1, "cpu", "bf16")
    changed = House(house.callers, scorers=scorers, catalog=house.catalog.with_default("two"))
    async with changed.client() as client:
        unready = await client.get("/ready")
        assert (unready.status_code, "two, is idle" in unready.json()["message"]) == (503, True)
        scorers.states[SECOND] = ScorerState("ready", 1, "cpu", "bf16")
        assert (await client.get("/ready")).json()["model"] == "two"
        assert (await client.post("/v1/rerank", json={"query": "q", "documents": ["a"]})).json()["model"] == "two"
        info = (await client.get("/info")).json()
        assert (info["model_id"], info["model_dtype"]) == ("two", "bf16")
        assert info["model_sha"] == house.catalog.variants[SECOND].revision
