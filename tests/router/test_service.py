"""Who may do what, what it costs, and where that is written: keys with real limits over fake scorers."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from serve_app.router.caller import Allowance, Caller
from serve_app.router.charge import Account, Charge
from tests.fakes import FakeScorers
from tests.router.building import House

pytestmark = pytest.mark.anyio
CALLERS: dict[str | None, Caller] = {
    "one": Caller("one", default_model="minilm-l2"),
    "two": Caller("two", models=frozenset({"cross-encoder/ms-marco-MiniLM-L6-v2"}), default_model="minilm-l6"),
    "boss": Caller("boss", may_rerank=False, admin=True),
    "strings": Caller("strings", dialect="infinity"),
    "few": Caller("few", allowance=Allowance(documents_per_minute=5)),
}
BODY: dict[str, Any] = {"query": "q", "documents": ["a", "bb"]}


async def _ask(client: httpx.AsyncClient, key: str, path: str = "/v1/rerank", **fields: Any) -> httpx.Response:
    return await client.post(path, json={**BODY, **fields}, headers={"authorization": key})


async def _get(client: httpx.AsyncClient, key: str, path: str) -> Any:
    return (await client.get(path, headers={"authorization": key})).json()


async def test_a_key_has_a_default_model_and_a_default_dialect() -> None:
    async with House(CALLERS).client() as client:
        assert (await _ask(client, "one")).json()["model"] == "cross-encoder/ms-marco-MiniLM-L2-v2"
        tei = await client.post("/rerank", json={"query": "q", "texts": ["a"]}, headers={"authorization": "two"})
        assert tei.status_code == 200
        assert (await _get(client, "two", "/info"))["model_id"] == "cross-encoder/ms-marco-MiniLM-L6-v2"
        answer = await _ask(client, "strings", "/rerank", return_documents=True)
        assert answer.json()["results"][0]["document"] == "bb"


async def test_a_key_sees_the_models_that_it_may_use() -> None:
    async with House(CALLERS).client() as client:
        assert [m["name"] for m in (await _get(client, "two", "/v1/models"))["data"]] == ["minilm-l6"]
        assert len((await _get(client, "one", "/v1/models"))["data"]) == 18
        assert (await client.get("/v1/models")).status_code == 401
        refused = await client.get("/v1/models/minilm-l12", headers={"authorization": "two"})
        assert refused.status_code == 403


async def test_a_key_without_the_scope_ranks_nothing() -> None:
    house = House(CALLERS)
    async with house.client() as client:
        refused = await _ask(client, "boss")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "permission_denied")
    assert not house.scorers.jobs


async def test_what_was_answered_is_counted_once_and_priced_by_the_catalog() -> None:
    house = House(CALLERS)
    async with house.client() as client:
        await _ask(client, "one")
        await _ask(client, "one", documents=["a"] * 20)
        await _ask(client, "one", documents=[])
        await _ask(client, "one", model="none")
    await house.ledger.flush()
    account = Account(datetime.now(UTC).date(), "one", "cross-encoder/ms-marco-MiniLM-L2-v2")
    # $0.008 for 1,000 documents: 8,000 billionths for one.
    assert list(house.sink.batches.values()) == [{account: Charge(2, 22, 22, 154, 2, 22 * 8_000)}]


async def test_each_chunk_of_a_long_document_is_paid_for() -> None:
    house = House(CALLERS, scorers=FakeScorers(chunks=60))
    async with house.client() as client:
        answer = (await _ask(client, "one")).json()
    assert answer["meta"]["billed_units"]["search_units"] == 2
    await house.ledger.flush()
    [batch] = house.sink.batches.values()
    assert list(batch.values()) == [Charge(1, 2, 120, 14, 2, 120 * 8_000)]


async def test_usage_is_ones_own_and_an_admins_is_everybodys() -> None:
    async with House(CALLERS).client() as client:
        for key in ("one", "two", "two"):
            await _ask(client, key)
        own = await _get(client, "two", "/v1/usage?group_by=key,model")
        assert own["data"][0].pop("cost_usd") == pytest.approx(4 * 0.0182 / 1_000, rel=0.01)
        today = datetime.now(UTC).date()
        assert own == {
            "object": "usage",
            "from": today.replace(day=1).isoformat(),
            "to": today.isoformat(),
            "group_by": ["key", "model"],
            "data": [
                {
                    "key": "two",
                    "model": "cross-encoder/ms-marco-MiniLM-L6-v2",
                    "requests": 2,
                    "documents": 4,
                    "pairs": 4,
                    "tokens": 28,
                    "search_units": 2,
                }
            ],
        }
        every = await _get(client, "boss", "/v1/usage?group_by=key")
        assert [(line["key"], line["requests"]) for line in every["data"]] == [("one", 1), ("two", 2)]


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("from=2026-13-01", "from: "),
        ("group_by=week", "group_by takes day, model, key"),
        ("from=2026-02-02&to=2026-02-01", "from is after to"),
    ],
)
async def test_a_wrong_question_about_usage(query: str, said: str) -> None:
    async with House(CALLERS).client() as client:
        response = await client.get(f"/v1/usage?{query}", headers={"authorization": "one"})
    assert response.status_code == 422
    assert said in response.json()["error"]["message"]


async def test_documents_of_a_minute_are_limited() -> None:
    async with House(CALLERS).client() as client:
        first = await _ask(client, "few", documents=["a"] * 4)
        assert first.headers["x-ratelimit-remaining-documents"] == "1"
        assert (await _ask(client, "few")).status_code == 429
        assert (await _ask(client, "few", documents=["a"] * 6)).status_code == 422
        assert (await _ask(client, "few", documents=["a"])).status_code == 200


async def test_what_waits_on_the_scorers_is_told_how_to_read() -> None:
    house = House(CALLERS)
    async with house.client() as client:
        await _ask(client, "one", max_chunks_per_doc=3, overlap_tokens=7, truncate="NONE", timeout_ms=1_500)
        await _ask(client, "one", "/v2/rerank", max_tokens_per_doc=4_096)
        await _ask(client, "one", "/v1/score", queries=["a", "b"])
        await _ask(client, "one", documents=[{"title": "t", "text": "x", "n": 3}], rank_fields=["title", "n", "gone"])
    jobs = [job for _, job in house.scorers.jobs]
    reading = jobs[0].reading
    assert (reading.max_chunks_per_doc, reading.overlap_tokens, reading.truncate) == (3, 7, False)
    assert jobs[0].timeout_s == 1.5
    assert (jobs[1].reading.max_tokens_per_doc, jobs[1].reading.max_chunks_per_doc) == (4_096, 17)
    assert (jobs[2].queries, jobs[2].documents) == (("a", "b"), ("a", "bb"))
    assert jobs[3].documents == ("t\n3",)
