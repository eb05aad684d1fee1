import gzip
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from serve_app.catalog import Catalog
from serve_app.errors import EngineFailure
from serve_app.scorer import bench as bench_module
from serve_app.scorer import measure as measure_module
from serve_app.scorer.loading import load_folder
from serve_app.scorer.measure import How, flops_per_pair, made_up_pairs, measure
from serve_app.scorer.random_weights import write_random
from serve_app.scorer.replicas import Replicas, Share
from tests.checkpoints import VOCABULARY
from tests.conftest import ROOT
from tests.hub_layouts import LAYOUTS
from tests.running import refused, run

SCRIPT = """
import sys
import typer
from serve_app.scorer.bench import bench
app = typer.Typer()
app.command()(bench)
app(sys.argv[1:], standalone_mode=False)
print(*(name for name in ("ray", "fastapi") if name in sys.modules), "was imported")
"""


@pytest.fixture
def vocabulary(tmp_path: Path) -> Path:
    """A vocabulary file of the usual size."""
    words = [*VOCABULARY, *(f"[unused{number}]" for number in range(30_522 - len(VOCABULARY)))]
    (tmp_path / "vocab.txt").write_text("\n".join(words) + "\n")
    return tmp_path / "vocab.txt"


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_catalogs_shapes_are_those_of_the_repositories(name: str, catalog: Catalog) -> None:
    layout, shape = LAYOUTS[name], catalog.variants[name].shape
    theirs = (layout.layers, layout.hidden, layout.heads, layout.ffn)
    assert (shape.layers, shape.hidden, shape.heads, shape.feed_forward) == theirs


@pytest.mark.parametrize("name", ["tinybert-l2-v2", "nboost-tinybert", "minilm-l2", "distilbert-cat"])
def test_random_weights_have_the_variants_size_and_can_be_served(
    name: str, catalog: Catalog, vocabulary: Path, tmp_path: Path
) -> None:
    variant = catalog.in_dtype("fp32").variants[name]
    write_random(variant, vocabulary, tmp_path / "made")
    state = load_file(tmp_path / "made" / "model.safetensors")
    assert sum(tensor.numel() for tensor in state.values()) == variant.parameters
    model = load_folder(variant, tmp_path / "made", "cpu")
    logits = model.engine.run(model.tokenizer.rows_now("river", ["the sea", "bread"]))
    assert bool(torch.isfinite(torch.tensor(logits)).all())


def test_the_arithmetic_of_a_pair(catalog: Catalog) -> None:
    assert flops_per_pair(catalog.variants["minilm-l6"], 94.2) == pytest.approx(2.00e9, rel=0.01)
    assert flops_per_pair(catalog.variants["tinybert-l2-v2"], 94.2) == pytest.approx(0.075e9, rel=0.02)


def test_a_model_that_sentence_transformers_cannot_load_is_measured_alone(
    catalog: Catalog, vocabulary: Path, tmp_path: Path
) -> None:
    variant = catalog.variants["distilbert-cat"]
    write_random(variant, vocabulary, tmp_path / "made")
    (tmp_path / "made" / "config.json").write_text('{"model_type": "BERT_Cat"}')  # as its hub repository has it
    rounds: list[int] = []
    measured = measure(
        variant,
        tmp_path / "made",
        [("river", ["the sea"])],
        How("cpu", None, replicas=1, rounds=2),
        lambda: rounds.append(1),
    )
    assert (measured.theirs, len(rounds)) == (None, 3)
    assert measured.ours > 0


def test_several_replicas_share_the_work_and_end_with_it(
    catalog: Catalog, vocabulary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = catalog.variants["tinybert-l2-v2"]
    write_random(variant, vocabulary, tmp_path / "made")
    started: list[Replicas] = []
    start = Replicas.__init__

    def noted(replicas: Replicas, shares: Sequence[Share]) -> None:
        start(replicas, shares)
        started.append(replicas)
        assert [share.pairs for share in shares] == [pairs[0::2], pairs[1::2]]
        assert all(process.is_alive() for process, _ in replicas._replicas)

    pairs = [("river", ["the sea"] * 3), ("sea", ["bread"]), ("bread", ["the river", "sea"])]
    monkeypatch.setattr(Replicas, "__init__", noted)
    measured = measure(variant, tmp_path / "made", pairs, How("cpu", None, replicas=2, rounds=1), lambda: None)
    assert measured.ours > 0
    assert [process.exitcode for process, _ in started[0]._replicas] == [0, 0]


def test_a_replica_that_cannot_load_is_no_figure(catalog: Catalog, tmp_path: Path) -> None:
    share = Share(catalog.variants["tinybert-l2-v2"], tmp_path, "cpu", None, [])
    with pytest.raises(EngineFailure, match="a replica ended with 1"):
        Replicas([share])


def test_made_up_text_is_as_long_as_passages_are() -> None:
    pairs = made_up_pairs(VOCABULARY[5:], 4_050)
    assert [len(documents) for _, documents in pairs] == [100] * 40 + [50]
    lengths = sorted(len(document.split()) for _, documents in pairs for document in documents)
    assert statistics.median(lengths) == pytest.approx(77, abs=4)
    assert lengths[round(0.95 * len(lengths))] == pytest.approx(154, abs=10)


def test_the_bench_compares_in_one_run_without_ray(tmp_path: Path) -> None:
    texts = ["Berlin is well known for its museums.", "Berlin has 3,520,031 registered inhabitants."] * 5
    candidates = [{"docid": f"d{number}", "text": text} for number, text in enumerate(texts)]
    with gzip.open(tmp_path / "run.jsonl.gz", "wt") as lines:
        for qid in ("1", "2"):
            line = {"qid": qid, "query": "How many people live in Berlin?", "candidates": candidates}
            lines.write(json.dumps(line) + "\n")
    (tmp_path / "qrels").write_text("".join(f"1 0 d{number} {number % 2}\n" for number in range(10)))
    asked = ["rerank-tiny", "tinybert-l2", "distilbert-cat", "--run", "run.jsonl.gz", "--qrels", "qrels"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120", "HF_HUB_OFFLINE": "1"}
    printed = subprocess.run(
        [sys.executable, "-c", SCRIPT, *asked, "--documents", "10", "--rounds", "1"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    ).stdout.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in printed[1:4]}
    assert list(rows) == ["rerank-tiny", "tinybert-l2", "distilbert-cat"]
    assert rows["rerank-tiny"][:3] == ["real", "1.0000", "9,000"]
    assert rows["tinybert-l2"][:3] == ["random", "–", "9,000"]
    for name in rows:
        ours, device, theirs, ratio = (float(cell.replace(",", "")) for cell in rows[name][3:7])
        assert device > 0
        assert ours / theirs == pytest.approx(ratio, rel=0.05)
    assert float(rows["distilbert-cat"][7].rstrip("%")) > 0  # of the small ones it may round to 0 on a busy machine
    assert "run.jsonl.gz" in " ".join(printed)
    assert printed[-1] == "was imported"


def test_judgements_need_a_run() -> None:
    assert "--qrels judges a --run" in refused(run("bench", "rerank-tiny", "--qrels", "qrels"))


def test_another_dtype_can_be_measured() -> None:
    printed = run("bench", "rerank-tiny", "--documents", "5", "--rounds", "1", "--dtype", "fp32").stdout.splitlines()
    assert printed[1].split()[-1] == "fp32"


def test_without_sentence_transformers_it_says_what_brings_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (bench_module, measure_module):
        monkeypatch.setattr(module, "find_spec", lambda name: None)
    monkeypatch.setenv("COLUMNS", "200")
    bench_module.bench(["rerank-tiny"], documents=3, rounds=1)
    printed = capsys.readouterr().out
    assert "rerank-serve[loadtest] brings it" in printed
    assert "made-up text" in printed
