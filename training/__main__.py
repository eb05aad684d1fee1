"""`python -m training`: teacher scores, student, export, in the minutes that it is given."""

import hashlib
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from serve_app.catalog import Variant
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.errors import ConfigurationError
from serve_app.scorer.checkpoint import load_cross_encoder, read_state
from serve_app.scorer.loading import load_folder
from serve_app.scoring import Device
from training.corpus import read_corpus
from training.distil import Recipe, Run
from training.examination import Examination
from training.export import export
from training.lessons import Lessons
from training.lines import Lines
from training.lists import make_plan
from training.quality import Agreement
from training.student import new_student
from training.teacher import Teacher
from training.tokens import Gatherer, Texts

BUNDLED = Path(__file__).parent.parent / "serve_app" / "bundled" / "rerank-tiny"
TEACHING = 0.4
"""Part of the time until which the teacher scores."""
PARTS = {"cpu": 8, "cuda": 96}
"""Of lists, a step: small steps where pairs are dear, large ones where a step costs the same anyhow."""


def main(
    data: Annotated[Path, typer.Option(help="Folder of passages, queries and candidates; see training/README.md.")],
    teacher: Annotated[Path, typer.Option(help="Folder of MiniLM-L12's weights, as `rerank pull` makes it.")],
    work: Annotated[Path, typer.Option(help="Folder for the teacher's scores.")] = Path("build"),
    out: Annotated[Path, typer.Option(help="Folder of the student.")] = Path("build/rerank-tiny"),
    log: Annotated[Path, typer.Option(help="Log of all runs, one JSON object a line.")] = Path("build/runs.jsonl"),
    start: Annotated[Path | None, typer.Option(help="Folder of a student to go on from. Default: a new one.")] = None,
    device: Annotated[Device, typer.Option(help="Where teacher and student compute.")] = "cpu",
    minutes: Annotated[
        float, typer.Option(min=0, help="For everything, of which the student has the larger part.")
    ] = 4.3,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Distil rerank-tiny from MiniLM-L12; `out` has the best student after each epoch."""
    end = time.monotonic() + 60 * minutes
    lines = Lines(Console())
    torch.backends.cuda.enable_cudnn_sdp(False)  # it plans anew for each shape of a batch, and no two are alike
    for folder in (work, log.parent):
        folder.mkdir(parents=True, exist_ok=True)
    corpus = read_corpus(data)
    plan = make_plan(corpus, seed, device)
    lines.say(f"{plan.pairs:,} pairs for training; {len(plan.held_out)} lists are held out")
    guide = load_folder(_variant("minilm-l12"), teacher, device)
    texts = Texts.of([each.query for each in plan.lists], plan.passages, guide.tokenizer)
    lines.say(f"{len(texts.places):,} queries and {len(plan.passages):,} passages are tokenised")
    scorer = Teacher(guide.engine, texts, work / "teacher.jsonl", lines)
    known = Lessons.of(plan.held_out, scorer.score(plan.held_out), texts)
    scores = scorer.score(plan.training, end - (1 - TEACHING) * 60 * minutes)
    lessons = Lessons.of(plan.training, scores, texts)
    gatherer = Gatherer(texts, device)
    examination = Examination(known, gatherer)
    bundled = examination.agreement(load_cross_encoder(_variant("rerank-tiny"), BUNDLED).to(device))
    lines.say(
        f"{len(lessons.passages):,} pairs of {len(scores):,} lists are scored; the bundled student: {_said(bundled)}"
    )
    if not scores or time.monotonic() >= end:
        raise ConfigurationError("teacher or student have no time for the training lists: give them more minutes")
    student = load_cross_encoder(_variant("rerank-tiny"), start) if start else new_student(read_state(teacher), seed)
    recipe = Recipe(seed, end - time.monotonic(), PARTS[device], rate)
    made = {"start": _sha256(start) if start else None, "device": device, "torch": torch.__version__}
    _note(log, event="run", **made, lists=len(scores), pairs=len(lessons.passages), **_rounded(asdict(recipe)))
    _train(
        Run(student, gatherer, lessons, recipe, lines), examination, lambda: export(student, teacher, out), log, lines
    )


def _train(run: Run, examination: Examination, keep: Callable[[], None], log: Path, lines: Lines) -> None:
    """Train; the student is kept after each epoch that makes it better, by both figures together."""
    best, kept = Agreement(-math.inf, -math.inf), 0
    for report in run.epochs():
        agreed = examination.agreement(run.student)
        if agreed.tau + agreed.ndcg10 > best.tau + best.ndcg10:
            best, kept = agreed, report.epoch
            keep()
        _note(log, event="epoch", **_rounded({**asdict(report), **asdict(agreed)}))
        lines.say(f"epoch {report.epoch}: loss {report.loss:.4f}, {report.pairs:,} pairs, {_said(agreed)}")
    _note(log, event="student", epoch=kept, **_rounded(asdict(best)))
    lines.say(f"the student is that of epoch {kept}: {_said(best)}")


def _variant(name: str) -> Variant:
    return load_catalog(default_catalog_path()).variants[name]


def _sha256(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def _said(agreed: Agreement) -> str:
    return f"held-out tau {agreed.tau:.4f}, NDCG@10 {agreed.ndcg10:.4f}"


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}


def _note(log: Path, **values: Any) -> None:
    with log.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(values) + "\n")


if __name__ == "__main__":
    typer.run(main)
