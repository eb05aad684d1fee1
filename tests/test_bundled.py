"""The model that comes with the package: what it is, how large, and that it ranks."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from safetensors.torch import load_file

from serve_app.catalog import Catalog, Variant
from serve_app.scorer.loading import load
from serve_app.scorer.weights import BUNDLED
from tests.conftest import ROOT
from tests.running import run

MOST_BYTES = 10_000_000
LOG = ROOT / "training" / "runs.jsonl"


@pytest.fixture
def variant(catalog: Catalog) -> Variant:
    return catalog.in_dtype("fp32").variants["rerank-tiny"]


@pytest.fixture
def folder(variant: Variant) -> Path:
    return BUNDLED / variant.folder


def test_it_is_small_and_complete(folder: Path) -> None:
    files = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert set(files) == {"README.md", "config.json", "model.safetensors", "tokenizer_config.json", "vocab.txt"}
    assert sum(files.values()) <= MOST_BYTES


def test_the_catalog_describes_these_very_weights(folder: Path, variant: Variant) -> None:
    weights = (folder / "model.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest().startswith(variant.revision)
    state = load_file(folder / "model.safetensors")
    assert sum(tensor.numel() for tensor in state.values()) == variant.parameters
    assert {str(tensor.dtype) for tensor in state.values()} == {"torch.float16"}


RANKINGS = [
    (
        "How many people live in Berlin?",
        [
            "Berlin had a population of 3,520,031 registered inhabitants in an area of 891.82 square kilometers.",
            "Berlin is well known for its museums.",
            "A good soup needs time.",
        ],
    ),
    (
        "what does prenatal care include",
        [
            "Prenatal care includes blood tests, a physical exam and conversations about lifestyle.",
            "Hospitals include a wing for maternity care.",
            "The war included many battles.",
        ],
    ),
    (
        "how long to boil an egg",
        [
            "Boil an egg for nine to twelve minutes for a hard yolk, six for a soft one.",
            "Eggs are laid by female animals of many species.",
            "The train takes long to arrive.",
        ],
    ),
]


@pytest.mark.parametrize(("query", "answer_first"), RANKINGS)
def test_it_finds_the_answer_that_a_child_would(variant: Variant, query: str, answer_first: list[str]) -> None:
    model = load(variant, None, "cpu", threads=2)
    answer, *others = model.engine.run(model.tokenizer.rows_now(query, answer_first))
    assert answer > 0 > max(others)


def test_the_model_card_tells_the_figures_that_the_log_has(folder: Path, variant: Variant) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    last = [json.loads(line) for line in LOG.read_text().splitlines()][-1]
    assert f"Kendall's tau with the teacher, held-out queries | {last['tau']:.3f}" in card
    assert f"NDCG@10 by the teacher, held-out queries | {last['ndcg10']:.3f}" in card
    assert f"NDCG@10, TREC DL 2019, BM25's first 100 | {variant.figures.ndcg10 / 100:.4f}" in card


def test_nothing_of_it_can_be_verified_or_pulled() -> None:
    result = run("verify", "rerank-tiny")
    assert result.returncode == 0, result.stderr
    assert "no score of it is published" in result.stdout


def test_the_wheel_has_it(tmp_path: Path, folder: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*build, "--wheel-dir", tmp_path, ROOT], check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "elsewhere")
    script = (
        "from serve_app.catalog_file import *; from serve_app.scorer.loading import load; import serve_app\n"
        "variant = load_catalog(default_catalog_path()).variants['rerank-tiny']\n"
        "model = load(variant, None, 'cpu', 2)\n"
        "print(serve_app.__file__, model.engine.run(model.tokenizer.rows_now('river', ['a river', 'soup'])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "elsewhere"), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    place, logits = done.stdout.split(" ", 1)
    assert place.startswith(str(tmp_path))
    first, second = json.loads(logits)
    assert first > second
