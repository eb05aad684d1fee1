import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from loadtest.startup import memory
from serve_app.scorer.weights import BUNDLED
from tests.conftest import ROOT
from tests.running import command, free_port, rerank_serve

pytestmark = pytest.mark.slow


def test_startup_measures_a_service_from_its_command_to_its_idle_memory(small_models: Path) -> None:
    port = free_port()
    serve = [
        str(command()),
        "serve",
        "--open",
        "--port",
        str(port),
        "--models-dir",
        str(small_models),
        "--variants",
        "minilm-l12",
    ]
    measure = [sys.executable, "-m", "loadtest.startup", "--url", f"http://127.0.0.1:{port}", "--repeat", "1"]
    printed = subprocess.run(
        [*measure, "--idle", "1", "--", *serve],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    first, median = (line.split() for line in printed.splitlines()[1:])
    assert (first[0], median[0], first[1:]) == ("1", "median", median[1:])
    seconds, pss, rss, processes = (float(cell.replace(",", "")) for cell in first[1:])
    assert 1 < seconds < 120
    assert 300 < pss < rss
    assert processes > 5


def test_memory_counts_descendants() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as parent:
        while not psutil.Process(parent.pid).children():
            pass
        pss, rss, processes = memory(parent.pid)
        assert processes == 2
        assert 0 < pss <= rss
        assert parent.stdin is not None
        parent.stdin.write(b"\n")


@pytest.fixture
def sentence_transformers_url() -> Iterator[str]:
    port = free_port()
    module = "loadtest.peers.sentence_transformers_server"
    server = subprocess.Popen([sys.executable, "-m", module, str(BUNDLED / "rerank-tiny"), str(port)], cwd=ROOT)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 60
        while True:
            assert server.poll() is None
            assert time.monotonic() < until
            try:
                httpx.get(f"{url}/openapi.json").raise_for_status()
                break
            except httpx.ConnectError:
                time.sleep(0.2)
        yield url
    finally:
        server.terminate()
        server.wait(20)


def test_throughput_compares_two_services_that_agree(sentence_transformers_url: str, tmp_path: Path) -> None:
    texts = [f"Berlin had {number},000 inhabitants in that year." for number in range(20)]
    run = tmp_path / "run.jsonl.gz"
    with gzip.open(run, "wt") as lines:
        for query in ("how many people live in berlin", "what is a river"):
            lines.write(json.dumps({"query": query, "candidates": [{"text": text} for text in texts]}) + "\n")
    body = {"query": "how many people live in berlin", "documents": texts}
    with rerank_serve(environment={"RERANK_DTYPE": "fp32"}) as service:
        while service.http.get("/ready").status_code != 200:
            time.sleep(0.2)
        ours = service.http.post("/v1/rerank", json=body).json()["results"]
        targets = [f"--target=ours={service.url}=rerank-tiny", f"--target=theirs={sentence_transformers_url}"]
        measure = [sys.executable, "-m", "loadtest.throughput", str(run), *targets, "--rounds", "2", "--queries", "2"]
        printed = subprocess.run(measure, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120).stdout
    theirs = httpx.post(f"{sentence_transformers_url}/v1/rerank", json=body).json()["results"]
    assert {r["index"]: r["relevance_score"] for r in theirs} == pytest.approx(
        {r["index"]: r["relevance_score"] for r in ours}, abs=1e-4
    )
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines()[1:]}
    assert list(rows) == ["ours", "theirs"]
    for median, lowest, highest, ratio in ([float(cell.replace(",", "")) for cell in row] for row in rows.values()):
        assert 0 < lowest <= median <= highest
        assert ratio > 0
    assert rows["ours"][3] == "1.00"
