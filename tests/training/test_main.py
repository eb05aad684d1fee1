import functools
import gzip
import inspect
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from serve_app.catalog import Catalog
from serve_app.errors import ConfigurationError
from serve_app.scorer.loading import load_folder
from tests.checkpoints import VOCABULARY, write_checkpoint
from training import __main__ as program
from training import lists
from training import student as module
from training.corpus import Corpus
from training.lists import make_plan


@pytest.fixture
def arguments(tmp_path: Path, corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Of a whole small run."""
    sizes = {"vocab_size": len(VOCABULARY), "hidden_size": 16, "intermediate_size": 32}
    monkeypatch.setattr(module, "CONFIG", {**module.CONFIG, **sizes})
    monkeypatch.setattr(lists, "HELD_OUT", 4)
    monkeypatch.setattr(program, "TEACHING", 0.7)  # a machine that is busy takes long to begin
    monkeypatch.setattr(program, "make_plan", functools.partial(make_plan, questions=0))
    write_checkpoint(tmp_path / "teacher", seed=1)
    files = {
        "passages.jsonl.gz": [json.dumps({"docid": str(n), "text": text}) for n, text in enumerate(corpus.passages)],
        "candidates.jsonl.gz": [
            json.dumps({"query": each.query, "docids": [str(place) for place in each.passages]})
            for each in corpus.retrieved
        ],
        "queries.txt.gz": list(corpus.queries),
    }
    for name, lines in files.items():
        with gzip.open(tmp_path / name, "wt", encoding="utf-8") as file:
            file.write("\n".join(lines))
    folders = {"data": "", "teacher": "teacher", "work": "work", "out": "out", "log": "runs.jsonl"}
    return [part for name, folder in folders.items() for part in (f"--{name}", str(tmp_path / folder))]


def _run(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(program.main)
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_one_command_makes_a_student(arguments: list[str], tmp_path: Path, catalog: Catalog) -> None:
    said = _run(*arguments, "--minutes", "0.25")
    assert "the bundled student: held-out tau" in said
    load_folder(catalog.in_dtype("fp32").variants["minilm-l6"], tmp_path / "out", "cpu")
    run, *epochs, student = map(json.loads, (tmp_path / "runs.jsonl").read_text().splitlines())
    assert run["pairs"] > 0
    assert run["start"] is None
    assert [each["epoch"] for each in epochs] == list(range(1, len(epochs) + 1))
    best = max(epochs, key=lambda each: each["tau"] + each["ndcg10"])
    assert student == {"event": "student"} | {key: best[key] for key in ("epoch", "tau", "ndcg10")}


def test_a_teacher_without_time_for_the_training_lists_is_an_error(arguments: list[str]) -> None:
    with pytest.raises(ConfigurationError, match="more minutes"):
        _run(*arguments, "--minutes", "0")


def test_without_further_words_the_package_keeps_its_student() -> None:
    out, log = (inspect.signature(program.main).parameters[name].default for name in ("out", "log"))
    assert {path.parts[0] for path in (out, log)} == {"build"}
