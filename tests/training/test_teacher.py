import io
import time
from pathlib import Path

import pytest
from rich.console import Console

from serve_app.scorer.loading import LoadedModel
from training import teacher as module
from training.corpus import Corpus
from training.lines import Lines
from training.lists import ScoringList
from training.teacher import Teacher
from training.tokens import Texts

LISTS = [ScoringList("the river", [3, 1, 2]), ScoringList("bread", [5]), ScoringList("music of people", [7, 8])]


def _teacher(model: LoadedModel, corpus: Corpus, cache: Path) -> Teacher:
    texts = Texts.of([each.query for each in LISTS], corpus.passages, model.tokenizer)
    return Teacher(model.engine, texts, cache, Lines(Console(file=io.StringIO())))


def _expected(teacher: LoadedModel, corpus: Corpus) -> list[list[float]]:
    return [
        [teacher.engine.run(teacher.tokenizer.rows_now(each.query, [corpus.passages[p]]))[0] for p in each.passages]
        for each in LISTS
    ]


def test_each_passage_has_its_logit(teacher: LoadedModel, corpus: Corpus, tmp_path: Path) -> None:
    scores = _teacher(teacher, corpus, tmp_path / "cache").score(LISTS)
    for found, expected in zip(scores, _expected(teacher, corpus), strict=True):
        assert found == pytest.approx(expected, abs=1e-4)


def test_what_was_scored_is_not_scored_again(
    teacher: LoadedModel, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a stop in the middle of a line, too; and the cache holds no text."""
    cache = tmp_path / "cache"
    first = _teacher(teacher, corpus, cache).score(LISTS[:2])
    cache.write_text(cache.read_text() + '["half a li')
    scored: list[ScoringList] = []
    compute = Teacher._compute

    def counted(self: Teacher, lists: list[ScoringList]) -> object:
        scored.extend(lists)
        return compute(self, lists)

    monkeypatch.setattr(Teacher, "_compute", counted)
    assert [list(each) for each in _teacher(teacher, corpus, cache).score(LISTS)[:2]] == [
        pytest.approx(list(each), abs=1e-4) for each in first
    ]
    assert scored == LISTS[2:]
    assert len(cache.read_text().splitlines()) == 3
    assert "river" not in cache.read_text()


def test_a_list_that_is_there_twice_is_scored_once(teacher: LoadedModel, corpus: Corpus, tmp_path: Path) -> None:
    scores = _teacher(teacher, corpus, tmp_path / "cache").score([*LISTS, *LISTS])
    assert scores[:3] == scores[3:]
    assert len((tmp_path / "cache").read_text().splitlines()) == 3


def test_when_the_time_is_over_there_are_scores_of_the_first_lists(
    teacher: LoadedModel, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the cache has beyond them is of no use, since lists and scores go together by their place."""
    _teacher(teacher, corpus, tmp_path / "cache").score(LISTS[2:])
    monkeypatch.setattr(module, "PAIRS_AT_ONCE", {"cpu": 3})
    times = iter([0.0, 1.0, 2.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(times, 3.0))
    slow = _teacher(teacher, corpus, tmp_path / "cache")
    found = slow.score(LISTS, until=2.5)
    assert [list(each) for each in found] == [pytest.approx(each, abs=1e-4) for each in _expected(teacher, corpus)[:1]]
