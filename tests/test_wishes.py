"""A wish answered by the whole service: real Ray, real HTTP, small random weights."""

import time
from typing import Any

import httpx

from tests.running import Running

WITHIN_S = 20.0


def _wish(service: Running, **fields: Any) -> httpx.Response:
    body = {"model": "auto", "query": "the river in berlin", "documents": ["sea and bread"] * 100, **fields}
    return service.http.post("/v1/rerank", json=body)


def test_the_most_accurate_of_what_is_ready_answers(service: Running) -> None:
    assert _wish(service, model="minilm-l12").status_code == 200
    until = time.monotonic() + WITHIN_S
    while not (answer := _wish(service, max_latency_ms=60_000)).json()["model"].endswith("L12-v2"):
        assert time.monotonic() < until, answer.text  # what is ready was seen a second ago, or ten
        time.sleep(0.2)
    assert answer.json()["meta"]["because"].startswith("most accurate that fits 60000 ms")
    assert 0 < float(answer.headers["x-rerank-predicted-ms"]) < 60_000


def test_a_strict_wish_that_nobody_fits_names_the_fastest(service: Running) -> None:
    refused = _wish(service, max_latency_ms=0.001, strict=True)
    assert refused.status_code == 503
    assert refused.json()["message"].startswith("no variant fits 0.001 ms; the fastest is ")
