"""One real peer, in the environment that is made for it: the quickest to install."""

from pathlib import Path

import httpx
import pytest
from sentence_transformers import CrossEncoder

from loadtest.peers.environments import IndexUnreachable, programs
from loadtest.peers.peer import ROOT, chosen
from loadtest.peers.server import Weights, started
from tests.clients.environments import CACHE

pytestmark = pytest.mark.clients
FOLDER = ROOT / "serve_app" / "bundled" / "rerank-tiny"
QUERY = "How many people live in Berlin?"
DOCUMENTS = ["Berlin is well known for its museums.", "Berlin had a population of 3,520,031 registered inhabitants."]


def test_onnxruntime_scores_about_as_the_weights_do(tmp_path: Path) -> None:
    (peer,) = chosen(["onnxruntime-int8"])
    try:
        installed = programs(peer, ROOT / CACHE, lambda line: None)
    except IndexUnreachable as missing:
        pytest.skip(str(missing))
    with started(peer, installed, Weights(FOLDER, "rerank-tiny"), tmp_path) as server:
        asked = {"model": server.model, "query": QUERY, "documents": DOCUMENTS}
        results = httpx.post(f"{server.url}/v1/rerank", json=asked, timeout=60).json()["results"]
    exact = CrossEncoder(str(FOLDER), device="cpu").predict([(QUERY, document) for document in DOCUMENTS])
    scores = {result["index"]: result["relevance_score"] for result in results}
    assert [scores[place] for place in range(len(DOCUMENTS))] == pytest.approx(list(exact), abs=0.05)
    assert results[0]["index"] == exact.argmax()
