"""`rerank pull` and `rerank verify` as a user types them, against a hub on loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.catalog import Catalog
from tests.checkpoints import write_checkpoint
from tests.hub_server import Hub, hub_server
from tests.running import refused, run

FOLDER = "ms-marco-TinyBERT-L2-v2"


@pytest.fixture
def hub(tmp_path: Path, catalog: Catalog) -> Iterator[Hub]:
    source = tmp_path / "hub"
    write_checkpoint(source, seed=1)
    with hub_server(source, catalog.variants["tinybert-l2-v2"].revision) as hub:
        yield hub


def _environment(hub: Hub, tmp_path: Path) -> dict[str, str]:
    return {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "home")}


def test_pull_says_what_it_did_and_then_that_it_is_there(hub: Hub, tmp_path: Path) -> None:
    environment, models = _environment(hub, tmp_path), str(tmp_path / "models")
    first = run("pull", "tinybert-l2-v2", "--to", models, **environment)
    assert first.returncode == 0, first.stderr
    assert "✓ tinybert-l2-v2: 0.2 MB in " in first.stdout
    assert f"; licence apache-2.0; {models}/{FOLDER}" in first.stdout
    assert f"rerank serve --models-dir {models}" in first.stdout
    hub.requests.clear()
    second = run("pull", "cross-encoder/ms-marco-TinyBERT-L-2-v2", RERANK_MODELS_DIR=models, **environment)
    assert "✓ tinybert-l2-v2: 0.2 MB, there already" in second.stdout
    assert hub.requests == []


def test_pull_of_a_cascade_brings_the_stages_that_do_not_come_with_the_package(hub: Hub, tmp_path: Path) -> None:
    result = run("pull", "tiny-then-l12", "--to", str(tmp_path / "models"), **_environment(hub, tmp_path))
    assert result.returncode == 0, result.stderr
    assert "✓ minilm-l12: 0.2 MB in " in result.stdout
    assert "rerank-tiny" not in result.stdout


def test_pull_all_goes_on_after_one_that_fails_and_tells_of_it(hub: Hub, tmp_path: Path) -> None:
    """The small BERT of the hub is nobody's ELECTRA or pinned MiniLM, and has no pickled weights."""
    hub.status["nboost/pt-bert-large-msmarco/revision/557c4a9b7417c541275c83174453ad3b7d4f0bed"] = (503, "")
    result = run("pull", "--all", "--to", str(tmp_path / "models"), **_environment(hub, tmp_path))
    error = refused(result)
    done = {line.split()[1].rstrip(":") for line in result.stdout.splitlines() if line.startswith("✓")}
    assert done == {"tinybert-l2-v2", "minilm-l12", "tinybert-l2", "tinybert-l4", "tinybert-l6"}
    for part in (
        "✗ minilm-l6: the hub's model.safetensors of cross-encoder/ms-marco-MiniLM-L6-v2",
        "✗ electra-base: the weights of ",
        "✗ nboost-tinybert: the hub has no pytorch_model.bin of nboost/pt-tinybert-msmarco",
        "✗ nboost-bert-large: the hub answered 503: try again later",
    ):
        assert part in result.stdout
    assert "not pulled: minilm-l2, minilm-l4, minilm-l6, electra-base" in error
    assert len([path for path in (tmp_path / "models").iterdir() if not path.name.startswith(".")]) == len(done)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["minilm-l6"], "where to? name a folder with --to DIR or RERANK_MODELS_DIR"),
        (["--to", "models"], "which? name models"),
        (["--to", "models", "--all", "minilm-l6"], "which? name models"),
        (["--to", "models", "rerank-tiny"], "rerank-tiny comes with the package: there is nothing to pull"),
        (["--to", "models", "minilm-l7"], "the catalog has no variant 'minilm-l7'"),
        (["--to", "/dev/null", "tinybert-l2-v2"], "tinybert-l2-v2 cannot be written to /dev/null: Not a directory"),
    ],
)
def test_pull_refuses_in_a_sentence(hub: Hub, tmp_path: Path, arguments: list[str], said: str) -> None:
    assert said in refused(run("pull", *arguments, **_environment(hub, tmp_path)))


def test_verify_of_weights_that_are_not_the_published_ones(hub: Hub, tmp_path: Path) -> None:
    result = run("verify", "tinybert-l2-v2", **_environment(hub, tmp_path))
    assert "not what was published: tinybert-l2-v2" in refused(result)
    header, first, *_ = result.stdout.splitlines()
    assert header.split() == ["model", "weights", "pair", "published", "ours", "difference", "verdict"]
    assert first.split()[:6] == ["tinybert-l2-v2", "pinned", "red", "planet", "1", "-10.87719"]
    assert "WRONG" in result.stdout


@pytest.mark.slow
def test_verify_of_real_weights_says_what_could_not_be_checked(real_models: Path) -> None:
    everything = run("verify", RERANK_MODELS_DIR=str(real_models))
    assert everything.returncode == 0, everything.stdout + everything.stderr
    assert [line.split()[-1] for line in everything.stdout.splitlines()[1:7]] == ["close"] * 6
    assert "within 1.5 in the logit is close enough" in everything.stdout
    assert everything.stdout.count("✗") == 14
    assert "✗ electra-base: HF_HUB_OFFLINE forbids to ask the hub" in everything.stdout
    absent = run("verify", "minilm-l12", "electra-base", "--models-dir", str(real_models))
    assert "not checked: electra-base. `rerank pull --to DIR` brings weights" in refused(absent)
