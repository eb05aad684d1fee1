from pathlib import Path
from typing import Any

import pytest
import sentence_transformers
import torch

from serve_app.catalog import Catalog
from serve_app.scorer.checkpoint import read_state
from serve_app.scorer.heads import CrossEncoder
from serve_app.scorer.loading import LoadedModel, load_folder
from tests.checkpoints import VOCABULARY, write_checkpoint
from training import student as module
from training.distil import Recipe, Run, distillation_loss
from training.export import export
from training.lessons import Lesson, LessonBatch
from training.quality import agreement
from training.student import new_student

RECIPE = Recipe(seed=1, epochs=4)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"vocab_size": len(VOCABULARY), "hidden_size": 16, "intermediate_size": 32}
    monkeypatch.setattr(module, "CONFIG", {**module.CONFIG, **sizes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of the teacher's weights."""
    write_checkpoint(tmp_path / "teacher", seed=1)
    return tmp_path / "teacher"


@pytest.fixture
def lessons(teacher: LoadedModel) -> list[Lesson]:
    about = {"river": "sea mountain", "bread house": "music house", "people": "berlin people", "the sea": "a the of"}
    lists = [
        teacher.tokenizer.rows_now(query, [f"{word} {query} {n}" for n in (1, 22) for word in words.split()])
        for query, words in about.items()
    ]
    return [Lesson(rows, teacher.engine.run(rows)) for rows in lists]


def _student(folder: Path) -> CrossEncoder:
    return new_student(read_state(folder), seed=1)


def _batch(logits: list[float]) -> LessonBatch:
    return LessonBatch([], torch.tensor([[0, 1, 2], [3, 4, -1]]), torch.tensor(logits))


def test_the_loss_is_nothing_when_the_student_says_what_the_teacher_says() -> None:
    logits = [5.0, -3.0, 0.5, -11.0, 2.0]
    assert float(distillation_loss(torch.tensor(logits), _batch(logits))) == pytest.approx(0, abs=1e-6)


def test_the_loss_by_hand() -> None:
    """Teacher (1, 0, 0) and (0, 0); student right but for the first logit, which is 0."""
    batch = _batch([1.0, 0.0, 0.0, 0.0, 0.0])
    p = torch.tensor([1.0, 0.0, 0.0]).softmax(0)
    listwise = float((p * (p.log() - torch.tensor(1 / 3).log())).sum()) / 2
    margin = 2 * ((4 / 9 + 1 / 9 + 1 / 9) / 3) / 2  # errors (-1, 0, 0) less their mean
    point = (1 / 3) / 2
    expected = listwise + 0.05 * margin + 0.01 * point
    assert float(distillation_loss(torch.zeros(5), batch)) == pytest.approx(expected, rel=1e-5)


def test_a_student_learns_its_lessons(folder: Path, lessons: list[Lesson], tmp_path: Path) -> None:
    student = _student(folder)
    reports = list(Run(student, 0, lessons, Recipe(seed=1, epochs=60, peak_rate=0.01), tmp_path / "run.pt").epochs())
    assert reports[-1].loss < reports[0].loss / 2
    assert [report.epoch for report in reports] == list(range(1, 61))


def test_a_run_that_was_stopped_ends_where_it_would_have(folder: Path, lessons: list[Lesson], tmp_path: Path) -> None:
    whole = _student(folder)
    list(Run(whole, 0, lessons, RECIPE, tmp_path / "whole.pt").epochs())
    stopped = Run(_student(folder), 0, lessons, RECIPE, tmp_path / "stopped.pt").epochs()
    assert [next(stopped).epoch, next(stopped).epoch] == [1, 2]
    torch.manual_seed(99)
    second = _student(folder)
    rest = Run(second, 0, lessons, RECIPE, tmp_path / "stopped.pt")
    assert rest.done == 2
    list(rest.epochs())
    for key, tensor in whole.state_dict().items():
        assert torch.equal(second.state_dict()[key], tensor), key


def test_a_new_student_knows_its_teachers_words(folder: Path) -> None:
    """Words that are alike to the teacher are alike to it: their correlations go together."""
    theirs = read_state(folder)["bert.embeddings.word_embeddings.weight"]
    ours = _student(folder).state_dict()["body.embeddings.word_embeddings.weight"]
    alike = [torch.corrcoef(table - table.mean(dim=0)).flatten() for table in (theirs, ours)]
    assert float(torch.corrcoef(torch.stack(alike))[0, 1]) > 0.6


def test_a_new_student_looks_for_its_words_on_the_other_side(folder: Path) -> None:
    """Of a word's attention in the first head, its like in the other segment gets the most."""
    student = _student(folder).eval()
    ids = torch.tensor([[40, 90, 50, 3, 60, 90, 70, 3]])  # word 90 on both sides
    segments = (torch.arange(8) > 3).long()[None]
    body: Any = student.body
    with torch.inference_mode():
        hidden = body.embeddings(input_ids=ids, token_type_ids=segments)
        attention = body.encoder.layer[0].attention.self
        size = student.state_dict()["head.dense.weight"].shape[0] // 2
        scores = attention.query(hidden)[0, :, :size] @ attention.key(hidden)[0, :, :size].T
    assert scores[1].argmax() == 5
    assert scores[5].argmax() == 1


def test_what_is_exported_is_served_with_the_same_scores(
    folder: Path, tmp_path: Path, catalog: Catalog, lessons: list[Lesson]
) -> None:
    student = _student(folder).eval()
    export(student, folder, tmp_path / "out")
    model = load_folder(catalog.in_dtype("fp32").variants["minilm-l6"], tmp_path / "out", "cpu")
    rows = model.tokenizer.rows_now("river", ["the sea and the mountain"])
    with torch.inference_mode():
        row = rows[0]
        segments = torch.arange(len(row.ids)) >= row.document_start
        exact = student(torch.from_numpy(row.ids)[None].long(), segments[None].long(), None)
    assert model.engine.run(rows) == pytest.approx(exact.tolist(), abs=5e-3)  # fp16 rounds weights by 0.05 %
    assert read_state(tmp_path / "out")["classifier.weight"].dtype == torch.float16


def test_sentence_transformers_reads_what_is_exported(folder: Path, tmp_path: Path, catalog: Catalog) -> None:
    export(_student(folder), folder, tmp_path / "out")
    ours = load_folder(catalog.in_dtype("fp32").variants["minilm-l6"], tmp_path / "out", "cpu")
    theirs = sentence_transformers.CrossEncoder(str(tmp_path / "out"), device="cpu", activation_fn=torch.nn.Identity())
    documents = ["the sea and the mountain", "bread"]
    scores = theirs.predict([("river", document) for document in documents])
    assert ours.engine.run(ours.tokenizer.rows_now("river", documents)) == pytest.approx(scores.tolist(), abs=1e-4)


def test_agreement_of_orders() -> None:
    teacher = [[5.0, 1.0, -2.0, -9.0], [0.0, 4.0]]
    assert agreement(teacher, teacher) == agreement([[9.0, 8.0, 7.0, 6.0], [1.0, 2.0]], teacher)
    same, reverse = agreement(teacher, teacher), agreement([[-s for s in each] for each in teacher], teacher)
    assert (same.tau, same.ndcg10) == (1.0, 1.0)
    assert reverse.tau == -1.0
    assert 0.3 < reverse.ndcg10 < 0.8
