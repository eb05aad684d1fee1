"""What the fields of each dialect ask for, where a golden file does not tell: truncation, activation, pairs."""

from typing import Any

import httpx
import pytest

from tests.fakes import FakeScorers

pytestmark = pytest.mark.anyio
TEI = {"query": "q", "texts": ["a"]}
NIM = {"query": {"text": "q"}, "passages": [{"text": "a"}]}
DOCUMENTS = {"query": "q", "documents": ["a", "bb"]}


@pytest.mark.parametrize(
    ("path", "body", "truncate"),
    [
        ("/rerank", {**TEI, "truncate": False}, False),
        ("/rerank", {**TEI, "truncate": None}, True),
        ("/v1/ranking", {**NIM, "truncate": "NONE"}, False),
        ("/v1/ranking", {**NIM, "truncate": "END"}, True),
        ("/v1/ranking", NIM, True),
        ("/v1/rerank", {**DOCUMENTS, "truncation": False}, False),
        ("/v1/rerank", {**DOCUMENTS, "truncation": True}, True),
        ("/v1/rerank", {**DOCUMENTS, "truncate": False}, False),
        ("/vllm/rerank", DOCUMENTS, True),
    ],
)
async def test_who_wants_nothing_cut_is_heard(
    api: httpx.AsyncClient, scorers: FakeScorers, path: str, body: dict[str, Any], truncate: bool
) -> None:
    assert (await api.post(path, json=body)).status_code == 200
    assert scorers.jobs[0][1].reading.truncate is truncate


async def test_a_text_cannot_lose_its_beginning(api: httpx.AsyncClient) -> None:
    response = await api.post("/rerank", json={**TEI, "truncation_direction": "Left"})
    assert response.status_code == 422
    assert response.json()["error"] == "truncation_direction: only `right` is to be had here"


@pytest.mark.parametrize("path", ["/vllm/rerank", "/v1/score"])
async def test_without_activation_scores_are_logits(api: httpx.AsyncClient, path: str) -> None:
    body = {**DOCUMENTS, "text_1": "q", "text_2": ["a", "bb"], "use_activation": False}
    reply = (await api.post(path, json=body)).json()
    assert {each.get("score", each.get("relevance_score")) for each in reply.get("data", reply.get("results"))} == {
        1,
        2,
    }


async def test_as_many_of_the_one_text_as_of_the_other(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/score", json={"text_1": ["a", "b"], "text_2": ["c", "d", "e"]})
    assert response.status_code == 422
    assert "text_1 has 2 texts and text_2 3" in response.json()["error"]["message"]


async def test_chunks_that_are_asked_for_win_over_coheres_own(api: httpx.AsyncClient, scorers: FakeScorers) -> None:
    await api.post("/v2/rerank", json={**DOCUMENTS, "max_tokens_per_doc": 4_096, "max_chunks_per_doc": 2})
    assert scorers.jobs[0][1].reading.max_chunks_per_doc == 2


async def test_vllms_errors_have_the_names_of_openais(api: httpx.AsyncClient) -> None:
    unknown = await api.post("/vllm/rerank", json={**DOCUMENTS, "model": "none"})
    empty = await api.post("/vllm/rerank", json={**DOCUMENTS, "documents": []})
    assert [each.json()["error"]["type"] for each in (unknown, empty)] == ["NotFoundError", "BadRequestError"]
