from collections import Counter

import numpy as np
import pytest

from serve_app.scorer.loading import LoadedModel
from training import lessons as module
from training.lessons import ASTRAY, LONGEST, PART, LessonBatch, Lessons, collate, groups, plan_epoch
from training.lists import ScoringList
from training.tokens import Gatherer, Texts

SIZES = (3, 2 * PART + 9, 1, 7)
LISTS = [ScoringList(f"{n} " * 3, range(100 * n, 100 * n + size)) for n, size in enumerate(SIZES)]


@pytest.fixture(scope="module")
def texts(teacher: LoadedModel) -> Texts:
    """List n has passages from 100 n on; they are of very different lengths."""
    passages = [f"a {place} " + "sea " * (90 * place % 300) for place in range(400)]
    return Texts.of([each.query for each in LISTS], passages, teacher.tokenizer)


@pytest.fixture(scope="module")
def lessons(texts: Texts) -> Lessons:
    """The logit says which passage it is of."""
    return Lessons.of(LISTS, [[place / 10 for place in each.passages] for each in LISTS], texts)


def _batches(lessons: Lessons, number: int = 0) -> list[LessonBatch]:
    return list(plan_epoch(lessons, batch=2, seed=1, number=number))


def test_an_epoch_shows_every_passage_once_and_one_astray_a_part(lessons: Lessons) -> None:
    batches = _batches(lessons)
    logits = Counter(round(float(logit), 2) for batch in batches for logit in batch.logits[batch.places >= 0])
    parts = sum(-(-size // PART) for size in SIZES)
    assert logits.pop(ASTRAY) == parts == sum(len(batch.places) for batch in batches)
    assert logits == Counter(round(place / 10, 2) for each in LISTS for place in each.passages)


def test_rows_of_a_list_share_its_query_and_keep_their_logits(lessons: Lessons) -> None:
    for batch in _batches(lessons):
        assert sorted(batch.places[batch.places >= 0]) == list(range(len(batch.queries)))
        for places, logits in zip(batch.places, batch.logits, strict=True):
            rows = places[places >= 0]
            assert len(set(batch.queries[rows])) == 1
            *own, astray = rows
            assert logits[places >= 0][-1] == ASTRAY
            assert logits[places >= 0][:-1] == pytest.approx(batch.passages[own] / 10)
            assert set(batch.passages[own] // 100) == {batch.queries[astray]}


def test_parts_of_a_list_are_of_like_size(lessons: Lessons) -> None:
    sizes = Counter(int((places >= 0).sum()) - 1 for batch in _batches(lessons) for places in batch.places)
    assert sizes == Counter({3: 1, 1: 1, 7: 1, (2 * PART + 9) // 3: 2, (2 * PART + 9) // 3 + 1: 1}) or sizes == Counter(
        {3: 1, 1: 1, 7: 1, (2 * PART + 9) // 3: 1, (2 * PART + 9) // 3 + 1: 2}
    )


def test_epochs_differ_and_can_be_repeated(lessons: Lessons) -> None:
    def order(number: int) -> list[float]:
        return [float(logit) for batch in _batches(lessons, number) for logit in batch.logits[batch.places >= 0]]

    assert order(0) == order(0)
    assert order(0) != order(1)


def test_lists_without_scores_are_left_out(texts: Texts) -> None:
    lessons = Lessons.of(LISTS, [[1.0, 2.0, 3.0]], texts)
    assert lessons.queries.tolist() == [texts.places[LISTS[0].query]]
    assert lessons.starts.tolist() == [0, 3]


def test_groups_are_of_like_length_and_about_as_large_as_asked() -> None:
    lengths = np.array([5, 90, 30, 31, 88, 7])
    assert [some.tolist() for some in groups(lengths, 100)] == [[1, 4], [3, 2], [5, 0]]
    assert [some.tolist() for some in groups(lengths, 1_000)] == [[1, 4, 3, 2, 5, 0]]


def test_a_batch_on_the_device_has_its_rows_where_its_places_say(
    lessons: Lessons, texts: Texts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOKENS", {"cpu": 2_000})
    gatherer = Gatherer(texts, "cpu")
    for batch in _batches(lessons):
        collated = collate(batch, gatherer)
        rows = [
            ids[mask[0, 0]].tolist() for part in collated.parts for ids, mask in zip(part.ids, part.mask, strict=True)
        ]
        assert len(rows) == len(batch.queries)
        assert len(collated.parts) == -(-sum(map(len, rows)) // 2_000)
        assert ((collated.places >= 0).numpy() == (batch.places >= 0)).all()
        for where, place in zip(collated.places.flatten().tolist(), batch.places.flatten().tolist(), strict=True):
            if place >= 0:
                expected = texts.row(int(batch.queries[place]), int(batch.passages[place])).ids.tolist()
                assert rows[where] == (
                    expected if len(expected) <= LONGEST else [*expected[: LONGEST - 1], expected[-1]]
                )
