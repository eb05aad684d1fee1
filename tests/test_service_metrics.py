"""What a running service tells Prometheus, read where Prometheus reads it: at Ray's own endpoints."""

import time

import httpx
import psutil
import pytest

from serve_app.cluster.alerts import SLOW_MS
from tests.running import Running

VARIANT = "minilm-l12"
SETTLED_S = 12.0
"""Replicas pass their counts on every few seconds."""


def _rerank(service: Running, documents: list[str]) -> None:
    body = {"model": VARIANT, "query": "the river in berlin", "documents": documents}
    assert service.http.post("/v1/rerank", json=body).status_code == 200


def test_documents_that_were_seen_before_are_counted(service: Running) -> None:
    text = f"an island that nobody has asked about {time.time()}"
    for _ in range(3):
        _rerank(service, [text])
    until = time.monotonic() + 30
    while (hits := _counted(service, "ray_rerank_token_cache_hits_total")) < 2:
        assert time.monotonic() < until, hits
        time.sleep(0.5)
    assert _counted(service, "ray_rerank_token_cache_misses_total") >= 1


def test_what_the_alerts_and_the_dashboard_count_is_counted_in_front_of_the_router(service: Running) -> None:
    _rerank(service, ["a stone bridge"])
    posted = ('application="rerank"', 'method="POST"', 'status_code="200"')
    quick = f'le="{SLOW_MS}"'
    for metric, labels in (
        ("ray_serve_num_http_requests_total", posted),
        ("ray_serve_http_request_latency_ms_bucket", (*posted, quick)),
        ("ray_serve_deployment_request_counter_total", ('deployment="router"', 'route="/v1/rerank"')),
    ):
        until = time.monotonic() + 30
        while not _counted(service, metric, *labels):
            assert time.monotonic() < until, metric
            time.sleep(0.5)


@pytest.mark.slow
def test_batches_that_are_on_their_way_together_do_not_become_one(service: Running) -> None:
    """Of 512 tokens, four documents are a batch. What is submitted while Ray forms a batch becomes a part of it."""
    documents = ["people of the mountain " * 200] * 20
    _rerank(service, documents)
    before = _settled(service, "ray_serve_batches_processed_total")
    _rerank(service, documents)
    assert _settled(service, "ray_serve_batches_processed_total") == before + 5


def _settled(service: Running, metric: str) -> float:
    """The counter once it stays as it is."""
    seen, since = _counted(service, metric), time.monotonic()
    while time.monotonic() - since < SETTLED_S:
        time.sleep(0.5)
        if (now := _counted(service, metric)) != seen:
            seen, since = now, time.monotonic()
    return seen


def _counted(service: Running, metric: str, *labels: str) -> float:
    """The counter with these labels, or for VARIANT, on whichever loopback port of Ray's agent has it."""
    agents = [child for child in psutil.Process(service.process.pid).children(recursive=True) if child.is_running()]
    ports = {
        connection.laddr.port
        for agent in agents
        if "DashboardAgent" in " ".join(agent.cmdline())
        for connection in agent.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    total = 0.0
    for port in ports:
        try:
            page = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5).text
        except httpx.HTTPError:  # the port of something else
            continue
        wanted = labels or (f'="{VARIANT}"',)
        lines = [line for line in page.splitlines() if line.startswith(metric) and all(each in line for each in wanted)]
        total += sum(float(line.rsplit(" ", 1)[1]) for line in lines)
    return total
