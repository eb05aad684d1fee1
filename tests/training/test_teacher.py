from pathlib import Path

import pytest

from serve_app.scorer.loading import LoadedModel
from training.corpus import Corpus
from training.lists import ScoringList
from training.teacher import Teacher

LISTS = [ScoringList("the river", [3, 1, 2]), ScoringList("bread", [5]), ScoringList("music of people", [7, 8])]


def _expected(teacher: LoadedModel, corpus: Corpus) -> list[list[float]]:
    return [
        [teacher.engine.run(teacher.tokenizer.rows_now(each.query, [corpus.passages[p]]))[0] for p in each.passages]
        for each in LISTS
    ]


def test_each_passage_has_its_logit(teacher: LoadedModel, corpus: Corpus, tmp_path: Path) -> None:
    scores = Teacher(teacher, tmp_path / "cache").score(LISTS, corpus.passages, "")
    for found, expected in zip(scores, _expected(teacher, corpus), strict=True):
        assert found == pytest.approx(expected, abs=1e-4)


def test_what_was_scored_is_not_scored_again(
    teacher: LoadedModel, corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a stop in the middle of a line, too; and the cache holds no text."""
    cache = tmp_path / "cache"
    first = Teacher(teacher, cache).score(LISTS[:2], corpus.passages, "")
    cache.write_text(cache.read_text() + '["half a li')
    scored: list[ScoringList] = []
    compute = Teacher._compute

    def counted(self: Teacher, lists: list[ScoringList], passages: list[str]) -> object:
        scored.extend(lists)
        return compute(self, lists, passages)

    monkeypatch.setattr(Teacher, "_compute", counted)
    assert [list(each) for each in Teacher(teacher, cache).score(LISTS, corpus.passages, "")[:2]] == [
        pytest.approx(list(each), abs=1e-4) for each in first
    ]
    assert scored == LISTS[2:]
    assert len(cache.read_text().splitlines()) == 3
    assert "river" not in cache.read_text()
