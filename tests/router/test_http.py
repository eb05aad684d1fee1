from typing import Any

import httpx
import pytest

from serve_app.errors import DeadlineExceeded, Overloaded, ScorerLost, WeightsUnavailable
from serve_app.scoring import ScorerState
from tests.fakes import FakeScorers

pytestmark = pytest.mark.anyio
DOCUMENTS: list[Any] = ["bb", {"text": "dddd", "id": 7, "tags": [None, {"a": 1}], "big": 2**80}, "ccc"]


async def test_the_reply(api: httpx.AsyncClient) -> None:
    response = await api.post(
        "/v1/rerank", json={"model": "minilm-l6", "query": "q", "documents": DOCUMENTS}, headers={"x-request-id": "r-1"}
    )
    assert response.status_code == 200
    body = response.json()
    assert body.pop("created") > 1_700_000_000
    scores = [result.pop("relevance_score") for result in body["results"]]
    assert scores == pytest.approx([0.9820137900379085, 0.9525741268224334, 0.8807970779778823], abs=1e-15)
    assert body == {
        "id": "r-1",
        "object": "rerank",
        "model": "cross-encoder/ms-marco-MiniLM-L6-v2",
        "results": [{"index": 1}, {"index": 2}, {"index": 0}],
        "usage": {"prompt_tokens": 21, "total_tokens": 21, "documents": 3},
        "meta": {
            "api_version": {"version": "1"},
            "billed_units": {"search_units": 1, "total_tokens": 21},
            "tokens": {"input_tokens": 21, "output_tokens": 0},
        },
    }
    assert response.headers["server-timing"] == "queue;dur=1.2, tokenize;dur=2.5, inference;dur=30.0"


async def test_documents_come_back_untouched(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/rerank", json={"query": "q", "documents": DOCUMENTS, "return_documents": True})
    documents = [result["document"] for result in response.json()["results"]]
    assert documents == [DOCUMENTS[1], {"text": "ccc"}, {"text": "bb"}]


async def test_raw_scores_are_logits(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/rerank", json={"query": "q", "documents": ["a", "bb"], "raw_scores": True})
    assert [r["relevance_score"] for r in response.json()["results"]] == [2.0, 1.0]


async def test_explicit_nulls_unknown_fields_and_booleans_as_strings(api: httpx.AsyncClient) -> None:
    response = await api.post(
        "/v1/rerank",
        json={
            "query": "q",
            "documents": ["a"],
            "model": None,
            "top_n": None,
            "return_documents": "true",
            "raw_scores": None,
            "max_tokens_per_doc": None,
            "user": None,
            "flavour": "any",
        },
    )
    assert response.json()["results"][0]["document"] == {"text": "a"}
    assert response.json()["model"] == "rerank-serve/rerank-tiny"


async def test_the_model_in_the_path_wins(api: httpx.AsyncClient, scorers: FakeScorers) -> None:
    for path in ("cross-encoder/ms-marco-MiniLM-L6-v2", "cross-encoder%2Fms-marco-MiniLM-L6-v2", "minilm-l6"):
        response = await api.post(f"/v1/models/{path}/rerank", json={"query": "q", "documents": ["a"], "model": "x"})
        assert response.json()["model"] == "cross-encoder/ms-marco-MiniLM-L6-v2"
    assert [name for name, _ in scorers.jobs] == ["minilm-l6"] * 3


async def test_what_the_job_is_given(api: httpx.AsyncClient, scorers: FakeScorers) -> None:
    body = {"query": "q", "documents": [{"text": "a"}, "b"], "max_tokens_per_doc": 9}
    await api.post("/v1/rerank", json=body, headers={"x-request-timeout-seconds": "2"})
    await api.post("/v1/rerank", json=body, headers={"x-request-timeout-seconds": "-1"})
    await api.post("/v1/rerank", json=body, headers={"x-request-timeout-seconds": "9999"})
    jobs = [job for _, job in scorers.jobs]
    assert [job.timeout_s for job in jobs] == [1.8, 30.0, 30.0]
    assert (jobs[0].queries, jobs[0].documents, jobs[0].reading.max_tokens_per_doc) == (("q",), ("a", "b"), 9)


@pytest.mark.parametrize(
    ("body", "status", "code", "param", "said"),
    [
        (b"", 400, "invalid_json", None, "not JSON"),
        (b"{", 400, "invalid_json", None, "not JSON"),
        (b'{"query": NaN}', 400, "invalid_json", None, "not JSON"),
        (b'{"query": "\\ud800", "documents": ["a"]}', 400, "invalid_json", None, "not JSON"),
        (b'{"query": "\xff", "documents": ["a"]}', 400, "invalid_json", None, "not JSON"),
        (b"[" * 2_000, 400, "invalid_json", None, "recursion limit"),
        (b"[]", 422, "invalid_request", None, "not a JSON object"),
        (b'{"documents": ["a"]}', 422, "invalid_request", "query", "query: Field required"),
        (b'{"query": 5, "documents": ["a"]}', 422, "invalid_request", "query", "query: Input should be a valid string"),
        (b'{"query": null, "documents": ["a"]}', 422, "invalid_request", "query", "valid string"),
        (b'{"query": " \\t", "documents": ["a"]}', 422, "invalid_request", "query", "query is empty"),
        (b'{"query": "q"}', 422, "invalid_request", "documents", "documents: Field required"),
        (b'{"query": "q", "documents": []}', 422, "invalid_request", "documents", "documents is empty"),
        (b'{"query": "q", "documents": "a"}', 422, "invalid_request", "documents", "valid list"),
        (b'{"query": "q", "documents": ["a", 5]}', 422, "invalid_request", "documents.1", "documents.1 is neither"),
        (b'{"query": "q", "documents": [{"t": 1}]}', 422, "invalid_request", "documents.0", "documents.0 is neither"),
        (b'{"query": "q", "documents": [null]}', 422, "invalid_request", "documents.0", "documents.0 is neither"),
        (b'{"query": "q", "documents": ["a"], "top_n": 0}', 422, "invalid_request", "top_n", "greater than 0"),
        (b'{"query": "q", "documents": ["a"], "top_n": -3}', 422, "invalid_request", "top_n", "greater than 0"),
        (b'{"query": "q", "documents": ["a"], "top_n": 1.5}', 422, "invalid_request", "top_n", "valid integer"),
        (b'{"query": "q", "documents": ["a"], "model": ""}', 422, "invalid_request", "model", "model is empty"),
        (b'{"query": "q", "documents": ["a"], "model": 7}', 422, "invalid_request", "model", "valid string"),
        (b'{"query": "q", "documents": ["a"], "model": "mini lm"}', 404, "model_not_found", "model", "nearest names"),
        (b'{"query": "q", "documents": [%s]}' % b",".join([b'"a"'] * 21), 422, "too_many_documents", "documents", "20"),
        (b'{"query": "%s", "documents": ["a"]}' % (b"q" * 6_000), 413, "body_too_large", None, "limit of 5000 bytes"),
    ],
)
async def test_bad_input_gets_a_clear_error(
    api: httpx.AsyncClient,
    scorers: FakeScorers,
    body: bytes,
    status: int,
    code: str,
    param: str | None,
    said: str,
) -> None:
    response = await api.post("/v1/rerank", content=body)
    assert response.status_code == status
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"], error["code"]) == ("invalid_request_error", param, code)
    assert said in error["message"]
    assert not scorers.jobs


async def test_a_body_without_a_length_is_cut_off_at_the_limit(api: httpx.AsyncClient) -> None:
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while sent < 1_000_000:
            sent += 1_000
            yield b" " * 1_000

    response = await api.post("/v1/rerank", content=endless())
    assert response.status_code == 413
    assert sent < 20_000


async def test_a_model_name_of_10_kb(api: httpx.AsyncClient) -> None:
    response = await api.post("/v1/models/" + "m" * 10_000 + "/rerank", json={"query": "q", "documents": ["a"]})
    assert response.status_code == 404
    assert len(response.content) < 1_500  # the message three times


@pytest.mark.parametrize(
    ("failure", "status", "code", "type_"),
    [
        (WeightsUnavailable("put them there"), 503, "weights_unavailable", "server_error"),
        (ScorerLost("lost"), 503, "scorer_lost", "server_error"),
        (DeadlineExceeded("late"), 504, "deadline_exceeded", "server_error"),
        (Overloaded("full"), 429, "overloaded", "rate_limit_error"),
    ],
)
async def test_failures_keep_their_status(
    api: httpx.AsyncClient, scorers: FakeScorers, failure: Exception, status: int, code: str, type_: str
) -> None:
    scorers.failure = failure
    response = await api.post("/v1/rerank", json={"query": "q", "documents": ["a"]})
    assert response.status_code == status
    assert response.json()["error"] == {"message": str(failure), "type": type_, "param": None, "code": code}
    assert response.headers.get("retry-after") == ("1" if status == 429 else None)


async def test_an_unexpected_failure_tells_nothing(api: httpx.AsyncClient, scorers: FakeScorers) -> None:
    scorers.failure = ZeroDivisionError("/root/secret 10.0.0.7 pid=1")
    response = await api.post("/v1/rerank", json={"query": "q", "documents": ["a"]})
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert "secret" not in response.text
    assert "ZeroDivisionError" not in response.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nope", 404, "not_found"),
        ("GET", "/v1/rerank", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
    ],
)
async def test_other_paths_and_methods(api: httpx.AsyncClient, method: str, path: str, status: int, code: str) -> None:
    response = await api.request(method, path)
    assert response.status_code == status
    error = response.json()["error"]
    assert (error["code"], f"there is no {method} on this path" in error["message"]) == (code, True)
    assert ("allow" in response.headers) == (status == 405)


async def test_the_model_list_is_openais(api: httpx.AsyncClient, scorers: FakeScorers) -> None:
    scorers.states["minilm-l6"] = ScorerState("ready", 2, "cpu", "bf16")
    listed = (await api.get("/v1/models")).json()
    assert listed["object"] == "list"
    assert len(listed["data"]) == 18
    l6 = next(model for model in listed["data"] if model["name"] == "minilm-l6")
    assert (l6["id"], l6["object"], l6["owned_by"]) == (
        "cross-encoder/ms-marco-MiniLM-L6-v2",
        "model",
        "cross-encoder",
    )
    assert isinstance(l6["created"], int)
    assert l6["figures"] == {"ndcg10": 74.3, "mrr10": 39.01, "docs_per_second_v100": 1800}
    assert l6["state"] == {"status": "ready", "replicas": 2, "device": "cpu", "dtype": "bf16", "reason": None}


async def test_one_model_by_any_of_its_names(api: httpx.AsyncClient) -> None:
    by_alias = await api.get("/v1/models/cross-encoder/ms-marco-MiniLM-L-6-v2")
    assert by_alias.json() == (await api.get("/v1/models/minilm-l6")).json()
    assert by_alias.json()["name"] == "minilm-l6"
    assert (await api.get("/v1/models/none")).status_code == 404


async def test_health_is_not_readiness(api: httpx.AsyncClient, scorers: FakeScorers) -> None:
    assert (await api.get("/health")).json() == {"status": "ok"}
    scorers.states["rerank-tiny"] = ScorerState("unavailable", 1, reason="no weights")
    response = await api.get("/ready")
    assert response.status_code == 503
    assert response.json()["error"]["message"].endswith("is unavailable: no weights")
    scorers.states["rerank-tiny"] = ScorerState("ready", 1, "cpu", "fp32")
    assert (await api.get("/ready")).status_code == 200
