"""TREC DL 2019 re-ranked over HTTP with real weights, by the command that the README names."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.running import command, rerank_serve

PLAIN_TORCH_FP32 = 0.7216
BM25 = 0.5058


@pytest.mark.slow
def test_ndcg_over_http(real_models: Path, trec_run: Path) -> None:
    """In the dtype that the service chooses; that fp32 scores as plain torch does is tested pair by pair."""
    with rerank_serve("--models-dir", str(real_models), environment={}) as service:
        printed = subprocess.run(
            [
                *(command(), "eval", trec_run / "bm25-top100.jsonl.gz"),
                *("--qrels", trec_run / "qrels.txt", "--model", "minilm-l12", "--url", service.url),
            ],
            env={**os.environ, "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    ndcg = {line.split("  ")[0]: line.split("  ", 1)[1].split()[0] for line in printed.splitlines()[1:3]}
    assert float(ndcg["as retrieved"]) == BM25
    assert float(ndcg["cross-encoder/ms-marco-MiniLM-L12-v2"]) == pytest.approx(PLAIN_TORCH_FP32, abs=0.004)
