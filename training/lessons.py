"""Scored lists in, batches for the student out; the order of an epoch follows from the seed and its number.

A long list comes in parts, other parts every epoch. Each list gets a passage of another one besides, as an example of
what is beside the point: the teacher gives all of those about the same logit, so it need not be asked.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from serve_app.scorer.packing import Row, group, pad

ASTRAY = -11.0
"""The teacher's logit for a passage of another query. Even of what BM25 finds for a real query here, a quarter is below
-10.9 and a twentieth below -11.3."""
PART = 10
"""Passages of a list that are compared at once."""
LONGEST = 192
"""Tokens of a row in training; a longer one is cut."""
PAIRS = 128
"""Rows of a batch, about."""
TOKENS = 4_096
"""Padded tokens that go through the student at once."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """One scored list: rows and the teacher's logits."""

    rows: Sequence[Row]
    logits: Sequence[float]


@dataclass(frozen=True, slots=True)
class LessonPart:
    """Rows of like length, padded to the longest."""

    rows: Tensor
    """int64 [n]: which rows of the batch they are."""
    ids: Tensor
    """int64 [n, length], as are `segments`; `mask` is bool."""
    segments: Tensor
    mask: Tensor


@dataclass(frozen=True, slots=True)
class LessonBatch:
    """What the student is shown at once."""

    parts: Sequence["LessonPart"]
    """All rows, those of like length together."""
    places: Tensor
    """int64 [lists, passages]: the row of each passage of each list, -1 where a list has no more."""
    logits: Tensor
    """fp32 [rows], the teacher's."""


def plan_epoch(lessons: Sequence[Lesson], seed: int, number: int) -> Sequence[Sequence[Lesson]]:
    """All lessons in parts, the parts in batches, in random order."""
    rng = random.Random(f"{seed}/{number}")
    parts = [part for lesson in lessons for part in _parts(lesson, lessons, rng)]
    rng.shuffle(parts)
    return list(_batches(parts))


def _parts(lesson: Lesson, lessons: Sequence[Lesson], rng: random.Random) -> Iterator[Lesson]:
    order = rng.sample(range(len(lesson.rows)), len(lesson.rows))
    for start in range(0, len(order), PART):
        chosen = order[start : start + PART]
        head = lesson.rows[0]
        other = rng.choice(rng.choice(lessons).rows)
        astray = _with_document(head, other)
        yield Lesson([*(lesson.rows[i] for i in chosen), astray], [*(lesson.logits[i] for i in chosen), ASTRAY])


def _with_document(head: Row, other: Row) -> Row:
    """The query of one row with the document of another."""
    ids = np.concatenate((head.ids[: head.document_start], other.ids[other.document_start :]))
    return Row(ids, head.document_start)


def _batches(parts: Sequence[Lesson]) -> Iterator[list[Lesson]]:
    batch: list[Lesson] = []
    for part in parts:
        batch.append(part)
        if sum(len(each.rows) for each in batch) >= PAIRS:
            yield batch
            batch = []
    if batch:
        yield batch


def collate(lists: Sequence[Lesson], pad_id: int) -> LessonBatch:
    """One batch, ready for the student."""
    rows = [_cut(row) for each in lists for row in each.rows]
    parts = [_part(members, rows, pad_id) for members in group([len(row.ids) for row in rows], TOKENS)]
    places = np.full((len(lists), max(len(each.rows) for each in lists)), -1, dtype=np.int64)
    row = 0
    for number, each in enumerate(lists):
        places[number, : len(each.rows)] = range(row, row + len(each.rows))
        row += len(each.rows)
    logits = torch.tensor([logit for each in lists for logit in each.logits])
    return LessonBatch(parts, torch.from_numpy(places), logits)


def _part(members: Sequence[int], rows: Sequence[Row], pad_id: int) -> LessonPart:
    batch = pad([rows[i] for i in members], pad_id)
    ids, segments, mask = (torch.from_numpy(part) for part in (batch.ids, batch.segments, batch.mask))
    return LessonPart(torch.tensor(members), ids, segments, mask)


def _cut(row: Row) -> Row:
    return row if len(row.ids) <= LONGEST else Row(np.append(row.ids[: LONGEST - 1], row.ids[-1]), row.document_start)
