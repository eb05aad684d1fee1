"""`python -m training`: teacher scores, student, export; each step goes on where it was stopped."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console

from serve_app.catalog import Variant
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.scorer.checkpoint import load_cross_encoder, read_state
from serve_app.scorer.engine import CPU_TOKEN_BUDGET, TorchEngine
from serve_app.scorer.loading import load_folder
from serve_app.scorer.tokenizer import PairTokenizer
from training.corpus import Corpus, read_corpus
from training.distil import Recipe, Run
from training.export import export
from training.lessons import Lesson
from training.lists import ScoringList, make_plan
from training.quality import Agreement, Scores, agreement
from training.student import new_student
from training.teacher import Teacher

HERE = Path(__file__).parent
BUNDLED = HERE.parent / "serve_app" / "bundled" / "rerank-tiny"


def main(
    data: Annotated[Path, typer.Option(help="Folder of passages, queries and candidates; see training/README.md.")],
    teacher: Annotated[Path, typer.Option(help="Folder of MiniLM-L12's weights, as `rerank pull` makes it.")],
    work: Annotated[Path, typer.Option(help="Folder for the teacher's scores and the checkpoint.")] = Path("build"),
    out: Annotated[Path, typer.Option(help="Folder of the student.")] = BUNDLED,
    log: Annotated[Path, typer.Option(help="Log of all runs, one JSON object a line.")] = HERE / "runs.jsonl",
    start: Annotated[Path | None, typer.Option(help="Folder of a student to go on from. Default: a new one.")] = None,
    questions: Annotated[int, typer.Option(min=0, help="Lists of questions about the passages' subjects.")] = 0,
    epochs: Annotated[int, typer.Option(min=1)] = 5,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1e-3,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Distil rerank-tiny from MiniLM-L12. Started again, it goes on where it was stopped."""
    work.mkdir(parents=True, exist_ok=True)
    console = Console()
    recipe = Recipe(seed=seed, epochs=epochs, peak_rate=rate)
    corpus = read_corpus(data)
    plan = make_plan(corpus, seed, questions)
    console.print(f"{plan.pairs:,} pairs; {len(plan.held_out)} queries held out of {len(plan.training):,} others")
    guide = load_folder(_variant("minilm-l12"), teacher, "cpu")
    scorer = Teacher(guide, work / "teacher.jsonl")
    known = scorer.score(plan.held_out, corpus.passages, "teacher, held-out queries")
    scores = scorer.score(plan.training, corpus.passages, "teacher, training queries")
    lessons = _lessons(guide.tokenizer, plan.training, corpus, scores)
    student = load_cross_encoder(_variant("rerank-tiny"), start) if start else new_student(read_state(teacher), seed)
    checkpoint = work / f"student-{seed}-{epochs}-{plan.pairs}.pt"
    run = Run(student, guide.tokenizer.pad_id, lessons, recipe, checkpoint)
    if run.done == 0:
        before = hashlib.sha256((start / "model.safetensors").read_bytes()).hexdigest() if start else None
        _note(log, event="run", start=before, pairs=plan.pairs, torch=torch.__version__, **asdict(recipe))
    for report in run.epochs():
        agreed = _examine(run, guide.tokenizer, plan.held_out, corpus, known)
        _note(log, event="epoch", **_rounded({**asdict(report), **asdict(agreed)}))
        console.print(f"epoch {report.epoch}: held-out tau {agreed.tau:.3f}, NDCG@10 {agreed.ndcg10:.3f}")
    export(student, teacher, out)
    console.print(f"{out}: {sum(file.stat().st_size for file in out.iterdir()) / 1e6:.2f} MB")


def _variant(name: str) -> Variant:
    return load_catalog(default_catalog_path()).variants[name]


def _lessons(
    tokenizer: PairTokenizer, lists: Sequence[ScoringList], corpus: Corpus, scores: Scores
) -> Sequence[Lesson]:
    return [
        Lesson(tokenizer.rows_now(each.query, [corpus.passages[place] for place in each.passages]), logits)
        for each, logits in zip(lists, scores, strict=True)
    ]


def _examine(
    run: Run, tokenizer: PairTokenizer, lists: Sequence[ScoringList], corpus: Corpus, known: Scores
) -> Agreement:
    """How the student, as it is now, orders the held-out queries' candidates."""
    engine = TorchEngine(run.student.eval(), "cpu", "fp32", CPU_TOKEN_BUDGET, tokenizer.pad_id)
    texts = [[corpus.passages[place] for place in each.passages] for each in lists]
    found = [
        engine.run(tokenizer.rows_now(each.query, documents)) for each, documents in zip(lists, texts, strict=True)
    ]
    return agreement(found, known)


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}


def _note(log: Path, **values: Any) -> None:
    with log.open("a", encoding="utf-8") as lines:
        lines.write(json.dumps(values) + "\n")


if __name__ == "__main__":
    typer.run(main)
