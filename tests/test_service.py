"""The whole service as `rerank serve` starts it: real Ray, real HTTP, small random weights."""

import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import torch
from transformers import BertForSequenceClassification, BertTokenizer

from serve_app.catalog import Catalog
from serve_app.router.scorers import BY_VALUE_CHARACTERS
from tests.running import Running

QUERY = "the river in berlin"
DOCUMENTS = ["sea and bread", "", "a house of music", "people of the mountain " * 200, "berlin"]


def _rerank(service: Running, model: str = "minilm-l12", **fields: Any) -> httpx.Response:
    return service.http.post("/v1/rerank", json={"model": model, "query": QUERY, "documents": DOCUMENTS, **fields})


def _logits(response: httpx.Response) -> list[float]:
    """Raw scores in the order of the documents."""
    assert response.status_code == 200, response.text
    return [r["relevance_score"] for r in sorted(response.json()["results"], key=lambda r: int(r["index"]))]


def _wait_for_state(service: Running, name: str, status: str) -> dict[str, Any]:
    """The state of a variant once it is this one; the router's view is up to a second old."""
    until = time.monotonic() + 10
    while True:
        state: dict[str, Any] = service.http.get(f"/v1/models/{name}").json()["state"]
        if state["status"] == status:
            return state
        assert time.monotonic() < until, state
        time.sleep(0.2)


@torch.inference_mode()
def _plain(folder: Path) -> list[float]:
    model = BertForSequenceClassification.from_pretrained(folder).eval()
    stock = BertTokenizer.from_pretrained(folder)
    pairs = [
        stock([QUERY], [document], truncation="only_second", max_length=512, return_tensors="pt")
        for document in DOCUMENTS
    ]
    return [model(**pair).logits.item() for pair in pairs]


@pytest.mark.slow
def test_two_names_reach_two_deployments(service: Running, small_models: Path, catalog: Catalog) -> None:
    for name, alias in (("minilm-l12", "minilm-l12-v2"), ("minilm-l6", "cross-encoder/ms-marco-MiniLM-L-6-v2")):
        response = _rerank(service, alias, raw_scores=True)
        variant = catalog.variants[name]
        assert response.json()["model"] == variant.hub_id
        assert _logits(response) == pytest.approx(_plain(small_models / variant.folder), abs=1e-4)
    assert len(service.replicas("minilm-l12")) == len(service.replicas("minilm-l6")) == 1


def test_the_order_is_that_of_the_logits(service: Running) -> None:
    logits = _logits(_rerank(service, raw_scores=True))
    order = sorted(range(len(logits)), key=lambda i: -logits[i])
    assert [result["index"] for result in _rerank(service).json()["results"]] == order


def test_scores_do_not_depend_on_what_else_is_asked(service: Running) -> None:
    alone = _logits(_rerank(service, raw_scores=True))

    def ask(number: int) -> list[float]:
        others = ["sea bread music " * (1 + number % 9)] * (number % 5)
        return _logits(_rerank(service, raw_scores=True, documents=[*DOCUMENTS, *others]))[: len(DOCUMENTS)]

    with ThreadPoolExecutor(16) as threads:
        for scores in threads.map(ask, range(64)):
            assert scores == pytest.approx(alone, abs=1e-4)


def test_a_variant_without_weights_says_so_and_the_others_stay_up(service: Running) -> None:
    response = _rerank(service, "distilbert-cat")
    assert response.status_code == 503
    error = response.json()["error"]
    assert error["code"] == "weights_unavailable"
    assert "distilbert-cat-margin_mse-T2-msmarco under the models directory" in error["message"]
    assert _wait_for_state(service, "distilbert-cat", "unavailable")["reason"] == error["message"]
    assert _rerank(service).status_code == 200


@pytest.mark.slow
def test_damaged_weights_say_so(service: Running, small_models: Path) -> None:
    response = _rerank(service, "minilm-l4")
    assert response.status_code == 503
    assert response.json()["error"]["code"] == "weights_invalid"
    assert str(small_models) not in response.text


@pytest.mark.slow
def test_weights_that_arrive_later_are_found_without_a_restart(
    service: Running, small_models: Path, catalog: Catalog
) -> None:
    folder = small_models / catalog.variants["minilm-l2"].folder
    assert _rerank(service, "minilm-l2").status_code == 503
    _wait_for_state(service, "minilm-l2", "unavailable")
    folder.symlink_to(small_models / catalog.variants["minilm-l6"].folder)
    until = time.monotonic() + 60
    while (response := _rerank(service, "minilm-l2", raw_scores=True)).status_code == 503:
        assert time.monotonic() < until, response.text
        time.sleep(0.5)
    assert _logits(response) == pytest.approx(_plain(folder), abs=1e-4)
    _wait_for_state(service, "minilm-l2", "ready")


def test_the_model_list_shows_what_is_live(service: Running) -> None:
    _rerank(service)
    states = {model["name"]: model["state"] for model in service.http.get("/v1/models").json()["data"]}
    assert states["minilm-l12"] == {
        "status": "ready",
        "replicas": 1,
        "device": "cpu",
        "dtype": "fp32",
        "reason": None,
    }
    assert states["nboost-bert-large"]["status"] == "idle"
    assert service.http.get("/ready").json()["model"] == "rerank-serve/rerank-tiny"


def test_request_ids_are_echoed_or_made(service: Running) -> None:
    for given in ("abc-1", None):
        headers = {"x-request-id": given} if given else {}
        response = service.http.post("/v1/rerank", json={"query": "q", "documents": ["a"]}, headers=headers)
        assert response.headers.get_list("x-request-id") == [response.json()["id"]]
        assert given in (None, response.json()["id"])


@pytest.mark.parametrize(
    "text",
    ["a\x00b", "x" * 2**20, "😀" * 500, "مرحبا بالعالم", "[SEP][CLS]", "\u202eabc", " ", "!" * 2**21],
    ids=["nul", "one-word-of-1-MB", "emoji", "right-to-left", "special", "override", "space", "2-MB-of-!"],
)
def test_odd_texts_are_scored(service: Running, text: str) -> None:
    response = service.http.post("/v1/rerank", json={"query": QUERY, "documents": [text, "sea"]})
    assert response.status_code == 200
    assert len(response.json()["results"]) == 2
    if text.strip():
        assert service.http.post("/v1/rerank", json={"query": text, "documents": ["sea"]}).status_code == 200


def test_limits_answer_before_the_work(service: Running) -> None:
    many = service.http.post("/v1/rerank", json={"query": QUERY, "documents": ["a"] * 10_001})
    assert (many.status_code, many.json()["error"]["code"]) == (422, "too_many_documents")
    assert "10000" in many.json()["error"]["message"]
    large = service.http.post("/v1/rerank", content=b"x" * (9 * 2**20))
    assert (large.status_code, large.json()["error"]["code"]) == (413, "body_too_large")


def test_ten_thousand_documents_are_ranked(service: Running) -> None:
    documents = [f"sea {number} bread" for number in range(10_000)]
    body = _rerank(service, documents=documents, top_n=3).json()
    assert (len(body["results"]), body["usage"]["documents"]) == (3, 10_000)
    assert body["meta"]["billed_units"]["search_units"] == 100


def test_documents_of_four_bytes_a_character_reach_the_scorer_both_ways(service: Running) -> None:
    """Up to the limit of a message by value, and beyond it through the object store."""
    for characters in (BY_VALUE_CHARACTERS - 100, BY_VALUE_CHARACTERS + 100):
        response = _rerank(service, documents=["😀" * characters, "sea"])
        assert response.status_code == 200, response.text
        assert len(response.json()["results"]) == 2


def test_a_deadline_is_kept(service: Running) -> None:
    documents = ["sea bread music " * 150] * 3_000
    began = time.monotonic()
    response = service.http.post(
        "/v1/rerank", json={"query": QUERY, "documents": documents}, headers={"x-request-timeout-seconds": "1.5"}
    )
    assert response.status_code == 504
    assert response.json()["error"]["code"] == "deadline_exceeded"
    assert time.monotonic() - began < 15
    _rerank(service, documents=["a"])  # what was left of it is dropped, so that this does not wait for long


def test_a_long_document_scores_what_its_best_chunk_scores(service: Running) -> None:
    beginning, end = "sea bread music " * 300, "berlin people mountain " * 200
    whole = _rerank(service, documents=[beginning + end, "sea"], raw_scores=True)
    chunked = _rerank(service, documents=[beginning + end, "sea"], raw_scores=True, max_chunks_per_doc=4)
    assert len(_logits(chunked)) == 2
    assert chunked.json()["usage"]["total_tokens"] > 1_024 > whole.json()["usage"]["total_tokens"]
    assert _logits(chunked)[0] >= _logits(whole)[0]


def test_what_cannot_be_answered_in_time_is_refused_before_it_waits(service: Running) -> None:
    """Once the scorer knows its pace: by a request that alone takes longer than its caller allows."""
    long = "sea bread music " * 150
    assert _rerank(service, documents=[long] * 200).status_code == 200
    began = time.monotonic()
    response = _rerank(service, documents=[long] * 3_000, timeout_ms=400)
    assert response.status_code == 504
    assert "to score, and 0." in response.json()["error"]["message"]
    scored = float(re.findall(r"inference;dur=([\d.]+)", _rerank(service, documents=["a"]).headers["server-timing"])[0])
    assert time.monotonic() - began < 10
    assert scored < 1_000  # what was refused is not at work


@pytest.mark.parametrize("seconds", ["0", "-1"])
def test_no_time_and_less_is_no_deadline(service: Running, seconds: str) -> None:
    """Neither here nor in Ray, which reads the header before."""
    response = service.http.post(
        "/v1/rerank", json={"query": QUERY, "documents": ["sea"]}, headers={"x-request-timeout-seconds": seconds}
    )
    assert response.status_code == 200


def test_a_caller_that_hangs_up_frees_the_scorer(service: Running) -> None:
    body = json.dumps({"query": QUERY, "documents": ["sea bread music " * 150] * 3_000}).encode()
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        time.sleep(1.0)
    time.sleep(1.0)
    scorer = service.replicas("minilm-l12")[0]
    before = scorer.cpu_times().user
    time.sleep(2.0)
    assert scorer.cpu_times().user - before < 1.0


def test_a_replica_that_dies_costs_no_answer(service: Running) -> None:
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(_rerank, service) for _ in range(100)]
        time.sleep(0.2)
        killed = service.replicas("minilm-l12")
        assert killed
        for replica in killed:
            replica.kill()
        assert {response.result().status_code for response in asked} == {200}
    assert psutil.Process(service.process.pid).is_running()
    assert not {replica.pid for replica in killed} & {replica.pid for replica in service.replicas("minilm-l12")}


def test_nothing_but_ray_serves_replicas_listens_beyond_loopback(service: Running) -> None:
    """One port each, which takes calls only with the token that this service made for itself (serve_app/local.py)."""
    beyond: dict[int, str] = {}
    for process in psutil.Process(service.process.pid).children(recursive=True):
        for connection in process.net_connections(kind="inet"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.ip not in ("127.0.0.1", "::ffff:127.0.0.1"):
                assert process.pid not in beyond, "and not the one on which a router answers HAProxy"
                beyond[process.pid] = " ".join(process.cmdline())
    assert all(title.startswith("ray::ServeReplica:") for title in beyond.values()), beyond


def test_no_reply_tells_where_it_comes_from(service: Running) -> None:
    pid = str(service.process.pid)
    for response in (
        _rerank(service, "distilbert-cat"),
        _rerank(service, "none"),
        service.http.post("/v1/rerank", content=b"{"),
        service.http.get("/nope"),
    ):
        assert response.status_code >= 400
        for secret in ("Traceback", "/tmp", "127.0.0.1", "ray::", pid):
            assert secret not in response.text
