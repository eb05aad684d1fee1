"""`rerank serve` from start to end: without weights, with some of the variants, and how it stops."""

import re
import signal
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.running import Running, rerank_serve, stop

LOADS_WITHIN_S = 60.0
PRINTS_WITHIN_S = 5.0
"""Once it answers, for the command to look as well, and to print, on a busy machine."""


def _alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that run; a zombie has ended, and waits for the machine's first process to read its exit code."""
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def _ready_or_not(service: Running) -> httpx.Response:
    """`GET /ready` once the default variant has been tried."""
    until = time.monotonic() + LOADS_WITHIN_S
    while "is starting" in (response := service.http.get("/ready")).text:
        assert time.monotonic() < until
        time.sleep(0.2)
    return response


@pytest.mark.slow
def test_without_network_and_weights_it_ranks_with_what_the_package_brings() -> None:
    with rerank_serve(environment={}) as service:
        assert _ready_or_not(service).json()["model"] == "rerank-serve/rerank-tiny"
        documents = ["Berlin is well known for its museums.", "Berlin has a population of 3,520,031.", "A good soup."]
        body = {"query": "How many people live in Berlin?", "documents": documents}
        answer = service.http.post("/v1/rerank", json=body).json()
        assert [result["index"] for result in answer["results"]] == [1, 0, 2]
        time.sleep(PRINTS_WITHIN_S)
        printed = " ".join(stop(service.process).split())
    assert "✓ rerank-tiny: ready on cpu" in printed
    assert "15 more load on their first request" in printed


@pytest.mark.slow
def test_a_variant_without_weights_starts_and_names_two_ways_to_provide_them(tmp_path: Path) -> None:
    with rerank_serve("--models-dir", str(tmp_path), "--variants", "minilm-l12", environment={}) as service:
        ready = _ready_or_not(service)
        assert ready.status_code == 503
        assert "no weights of cross-encoder/ms-marco-MiniLM-L12-v2 are at hand" in ready.json()["error"]["message"]
        assert service.http.get("/health").status_code == 200
        time.sleep(PRINTS_WITHIN_S)
        printed = " ".join(stop(service.process).split())
    assert "✗ minilm-l12: no weights of cross-encoder/ms-marco-MiniLM-L12-v2 are at hand" in printed
    assert "`rerank pull minilm-l12` does" in printed
    assert "or let the service reach the hub" in printed


def test_it_serves_the_chosen_variants_and_leaves_nothing_behind(small_models: Path) -> None:
    chosen = ("--models-dir", str(small_models), "--variants", "minilm-l6, tinybert-l2-v2")
    with rerank_serve(*chosen, environment={}) as service:
        assert _ready_or_not(service).json()["model"] == "cross-encoder/ms-marco-MiniLM-L6-v2"
        listed = service.http.get("/v1/models").json()["data"]
        assert [model["name"] for model in listed] == ["minilm-l6", "tinybert-l2-v2"]
        unknown = service.http.post("/v1/rerank", json={"model": "minilm-l12", "query": "q", "documents": ["a"]})
        assert unknown.status_code == 404
        time.sleep(PRINTS_WITHIN_S)
        family = psutil.Process(service.process.pid).children(recursive=True)
        assert len(_alive(family)) > 5
        printed = stop(service.process)
    assert service.process.returncode == 0
    assert "Traceback" not in printed
    assert "ERROR" not in printed
    assert printed.rstrip().endswith("stopped")
    assert not _alive(family)
    logs = re.search(r"logs: (\S+)", printed)
    assert logs is not None
    assert not Path(logs[1]).exists()


def test_sigterm_while_weights_load_takes_ray_along(small_models: Path) -> None:
    """Kubernetes and systemd send it. Ray's own handler would end the command and leave Ray running."""
    with rerank_serve("--models-dir", str(small_models), environment={}, wait=False) as service:
        _wait_for_proxy(service)
        family = psutil.Process(service.process.pid).children(recursive=True)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(60) == 0
        assert not _alive(family)


def _wait_for_proxy(service: Running) -> None:
    until = time.monotonic() + LOADS_WITHIN_S
    while time.monotonic() < until:
        try:
            service.http.get("/health")
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError("the proxy did not come up")
