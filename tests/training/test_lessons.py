from collections import Counter

from serve_app.scorer.loading import LoadedModel
from training.lessons import ASTRAY, LONGEST, PART, TOKENS, Lesson, LessonBatch, collate, plan_epoch


def _lessons(teacher: LoadedModel) -> list[Lesson]:
    """List n has the query `n n n` and logits that say which passage of which list they are of."""
    lessons = []
    for number, size in enumerate((3, 25, 1, 7)):
        rows = teacher.tokenizer.rows_now(f"{number} " * 3, [f"a {i} " + "sea " * (90 * i % 300) for i in range(size)])
        lessons.append(Lesson(rows, [10.0 * number + i / 100 for i in range(size)]))
    return lessons


def _batches(teacher: LoadedModel, number: int = 0) -> list[LessonBatch]:
    return [collate(lists, pad_id=0) for lists in plan_epoch(_lessons(teacher), seed=1, number=number)]


def _queries(batch: LessonBatch) -> dict[int, tuple[int, ...]]:
    """The first segment of each row."""
    found = {}
    for part in batch.parts:
        for row, ids, segments, mask in zip(part.rows.tolist(), part.ids, part.segments, part.mask, strict=True):
            found[row] = tuple(ids[mask & (segments == 0)].tolist())
    return found


def test_an_epoch_shows_every_passage_once_and_one_astray_a_part(teacher: LoadedModel) -> None:
    lessons, batches = _lessons(teacher), _batches(teacher)
    logits = Counter(round(float(logit), 2) for batch in batches for logit in batch.logits)
    parts = sum(-(-len(lesson.rows) // PART) for lesson in lessons)
    assert logits.pop(ASTRAY) == parts == sum(len(batch.places) for batch in batches)
    assert logits == Counter(round(logit, 2) for lesson in lessons for logit in lesson.logits)


def test_rows_of_a_list_share_its_query_and_keep_their_logits(teacher: LoadedModel) -> None:
    heads = [tuple(lesson.rows[0].ids[: lesson.rows[0].document_start].tolist()) for lesson in _lessons(teacher)]
    for batch in _batches(teacher):
        queries = _queries(batch)
        assert sorted(queries) == list(range(len(batch.logits)))
        for places in batch.places:
            rows = [place for place in places.tolist() if place >= 0]
            number = round(float(batch.logits[rows[0]])) // 10
            assert {queries[row] for row in rows} == {heads[number]}
            assert [round(float(batch.logits[row])) // 10 for row in rows[:-1]] == [number] * (len(rows) - 1)
            assert float(batch.logits[rows[-1]]) == ASTRAY


def test_epochs_differ_and_can_be_repeated(teacher: LoadedModel) -> None:
    def order(number: int) -> list[float]:
        return [float(logit) for batch in _batches(teacher, number) for logit in batch.logits]

    assert order(0) == order(0)
    assert order(0) != order(1)


def test_no_part_is_larger_than_training_can_afford(teacher: LoadedModel) -> None:
    sep = int(teacher.tokenizer.rows_now("a", ["a"])[0].ids[-1])
    parts = [part for batch in _batches(teacher) for part in batch.parts]
    assert max(part.ids.shape[1] for part in parts) == LONGEST
    assert max(part.ids.numel() for part in parts) <= TOKENS
    for part in parts:
        assert all(int(ids[mask][-1]) == sep for ids, mask in zip(part.ids, part.mask, strict=True))
