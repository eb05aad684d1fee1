import io
import itertools
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import sentence_transformers
import torch
from rich.console import Console

from serve_app.catalog import Catalog
from serve_app.scorer.checkpoint import read_state
from serve_app.scorer.heads import CrossEncoder
from serve_app.scorer.loading import LoadedModel, load_folder
from tests.checkpoints import VOCABULARY, write_checkpoint
from training import student as module
from training.distil import Recipe, Run, distillation_loss, rate_at
from training.examination import Examination
from training.export import export
from training.lessons import Collated, Lessons
from training.lines import Lines
from training.lists import ScoringList
from training.quality import agreement
from training.student import new_student
from training.tokens import Gatherer, Texts

RECIPE = Recipe(seed=1, seconds=40, parts=2, peak_rate=0.01)
ABOUT = {"river": "sea mountain", "bread house": "music house", "people": "berlin people", "the sea": "a the of"}
PASSAGES = [f"{word} {query} {n}" for query, words in ABOUT.items() for n in (1, 22) for word in words.split()]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"vocab_size": len(VOCABULARY), "hidden_size": 16, "intermediate_size": 32}
    monkeypatch.setattr(module, "CONFIG", {**module.CONFIG, **sizes})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of the teacher's weights."""
    write_checkpoint(tmp_path / "teacher", seed=1)
    return tmp_path / "teacher"


@pytest.fixture(scope="module")
def texts(teacher: LoadedModel) -> Texts:
    return Texts.of(list(ABOUT), PASSAGES, teacher.tokenizer)


@pytest.fixture(scope="module")
def lessons(teacher: LoadedModel, texts: Texts) -> Lessons:
    lists = [
        ScoringList(query, [place for place, passage in enumerate(PASSAGES) if f" {query} " in passage])
        for query in ABOUT
    ]
    rows = [[texts.row(texts.places[each.query], place) for place in each.passages] for each in lists]
    return Lessons.of(lists, [teacher.engine.run(some) for some in rows], texts)


def _student(folder: Path) -> CrossEncoder:
    return new_student(read_state(folder), seed=1)


def _run(student: CrossEncoder, texts: Texts, lessons: Lessons, recipe: Recipe = RECIPE) -> Run:
    """By a clock that goes on by a second whenever it is looked at."""
    seconds = itertools.count()
    lines = Lines(Console(file=io.StringIO()))
    return Run(student, Gatherer(texts, "cpu"), lessons, recipe, lines, clock=lambda: float(next(seconds)))


def _batch(logits: list[list[float]]) -> Collated:
    return Collated([], torch.tensor([[0, 1, 2], [3, 4, -1]]), torch.tensor(logits))


def test_the_loss_is_nothing_when_the_student_says_what_the_teacher_says() -> None:
    batch = _batch([[5.0, -3.0, 0.5], [-11.0, 2.0, 99.0]])
    assert float(distillation_loss(torch.tensor([5.0, -3.0, 0.5, -11.0, 2.0]), batch)) == pytest.approx(0, abs=1e-6)


def test_the_loss_by_hand() -> None:
    """Teacher (1, 0, 0) and (0, 0); student right but for the first logit, which is 0."""
    batch = _batch([[1.0, 0.0, 0.0], [0.0, 0.0, 99.0]])
    p = torch.tensor([1.0, 0.0, 0.0]).softmax(0)
    listwise = float((p * (p.log() - torch.tensor(1 / 3).log())).sum()) / 2
    margin = 2 * ((4 / 9 + 1 / 9 + 1 / 9) / 3) / 2  # errors (-1, 0, 0) less their mean
    point = (1 / 3) / 2
    expected = listwise + 0.05 * margin + 0.01 * point
    assert float(distillation_loss(torch.zeros(5), batch)) == pytest.approx(expected, rel=1e-5)


def test_a_student_learns_its_lessons(folder: Path, texts: Texts, lessons: Lessons) -> None:
    recipe = replace(RECIPE, seconds=400)
    reports = list(_run(_student(folder), texts, lessons, recipe).epochs())
    assert reports[-1].loss < reports[0].loss / 2
    assert [report.epoch for report in reports] == list(range(1, len(reports) + 1))
    assert {(report.steps, report.pairs) for report in reports[:-1]} == {(2, len(PASSAGES) + len(ABOUT))}


def test_the_same_seed_gives_the_same_student(folder: Path, texts: Texts, lessons: Lessons) -> None:
    first, second = (_student(folder) for _ in range(2))
    for student in (first, second):
        list(_run(student, texts, lessons).epochs())
    for key, tensor in first.state_dict().items():
        assert torch.equal(second.state_dict()[key], tensor), key


def test_a_run_ends_when_its_time_is_over(folder: Path, texts: Texts, lessons: Lessons) -> None:
    """In the middle of an epoch, too."""
    reports = list(_run(_student(folder), texts, lessons, replace(RECIPE, seconds=9)).epochs())
    assert [report.steps for report in reports] == [2, 0]


def test_the_rate_rises_and_falls() -> None:
    assert [rate_at(done, RECIPE) for done in (0.0, 0.025, 0.05, 0.525, 1.0)] == pytest.approx(
        [0, 0.005, 0.01, 0.005, 0]
    )


def test_embeddings_learn_at_half_the_rate(folder: Path, texts: Texts, lessons: Lessons) -> None:
    """AdamW's first step changes each weight by about the rate, whatever the gradient."""
    student = _student(folder)
    before = {key: tensor.clone() for key, tensor in student.state_dict().items()}
    recipe = replace(RECIPE, seconds=5, weight_decay=0.0, warm_up=0.1, parts=4)
    assert sum(report.steps for report in _run(student, texts, lessons, recipe).epochs()) == 1
    moved = {key: float((tensor - before[key]).abs().max()) for key, tensor in student.state_dict().items()}
    words, dense = moved["body.embeddings.word_embeddings.weight"], moved["head.dense.weight"]
    assert words == pytest.approx(dense / 2, rel=0.05)


def test_an_examination_is_the_agreement_of_what_is_served(
    folder: Path, texts: Texts, lessons: Lessons, tmp_path: Path, catalog: Catalog
) -> None:
    student = _student(folder)
    found = Examination(lessons, Gatherer(texts, "cpu")).agreement(student)
    export(student, folder, tmp_path / "out")
    served = load_folder(catalog.in_dtype("fp32").variants["minilm-l6"], tmp_path / "out", "cpu")
    bounds = list(itertools.pairwise(lessons.starts.tolist()))
    queries = lessons.queries.tolist()
    scores = [
        served.engine.run([texts.row(query, int(place)) for place in lessons.passages[first:end]])
        for query, (first, end) in zip(queries, bounds, strict=True)
    ]
    expected = agreement(scores, [lessons.logits[first:end].tolist() for first, end in bounds])
    assert asdict(found) == pytest.approx(asdict(expected), abs=1e-3)


def test_a_new_student_knows_its_teachers_words(folder: Path) -> None:
    """Words that are alike to the teacher are alike to it: their correlations go together."""
    theirs = read_state(folder)["bert.embeddings.word_embeddings.weight"]
    ours = _student(folder).state_dict()["body.embeddings.word_embeddings.weight"]
    alike = [torch.corrcoef(table - table.mean(dim=0)).flatten() for table in (theirs, ours)]
    assert float(torch.corrcoef(torch.stack(alike))[0, 1]) > 0.6


def test_a_teacher_of_half_precision_makes_nearly_the_same_student(folder: Path) -> None:
    state = read_state(folder)
    exact = new_student(state, seed=1).state_dict()
    halved = new_student({key: tensor.half() for key, tensor in state.items()}, seed=1).state_dict()
    words = "body.embeddings.word_embeddings.weight"
    alike = torch.nn.functional.cosine_similarity(exact[words] @ exact[words].T, halved[words] @ halved[words].T)
    assert float(alike.min()) > 0.99


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


def test_what_is_exported_is_served_with_the_same_scores(folder: Path, tmp_path: Path, catalog: Catalog) -> None:
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
