"""Scored lists in, batches for the student out; the order of an epoch follows from the seed and its number.

A long list comes in parts, other parts every epoch. Each part gets a passage of any list besides, hardly ever its own,
as an example of what is beside the point: the teacher gives all of those about the same logit, so it need not be asked.

What is chosen is numbers of rows and lists, made with numpy; the tokens are gathered where the student is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from training.lists import ScoringList
from training.quality import Scores
from training.tokens import Gatherer, Rows, Texts

Places = NDArray[np.int64]

ASTRAY = -11.0
"""The teacher's logit for a passage of another query. Even of what BM25 finds for a real query here, a quarter is below
-10.9 and a twentieth below -11.3."""
PART = 32
"""Passages of a list that are compared at once, at most."""
LONGEST = 192
"""Tokens of a row in training; a longer one is cut."""
TOKENS = {"cpu": 4_096, "cuda": 98_304}
"""Tokens that go through the student at once, about: what a CPU's cache holds, or what keeps a GPU busy for longer
than it takes to be told."""


@dataclass(frozen=True, slots=True)
class Lessons:
    """Scored lists, one after the other."""

    queries: Places
    """[lists]: each list's, in the texts."""
    starts: Places
    """[lists + 1]: where its passages are."""
    passages: Places
    """[pairs]: in the texts."""
    logits: NDArray[np.float32]
    """[pairs], the teacher's."""

    @classmethod
    def of(cls, lists: Sequence[ScoringList], scores: Scores, texts: Texts) -> "Lessons":
        """The first lists, as many as there are scores of."""
        scored = lists[: len(scores)]
        return cls(
            queries=np.array([texts.places[each.query] for each in scored], dtype=np.int64),
            starts=np.cumsum([0, *(len(each) for each in scores)], dtype=np.int64),
            passages=np.array([place for each in scored for place in each.passages], dtype=np.int64),
            logits=np.array([logit for each in scores for logit in each], dtype=np.float32),
        )

    @property
    def sizes(self) -> Places:
        """Passages of each list, [lists]."""
        return np.diff(self.starts)


@dataclass(frozen=True, slots=True)
class LessonBatch:
    """What the student is shown at once."""

    queries: Places
    """[rows], in the texts, as are `passages`."""
    passages: Places
    places: Places
    """[lists, passages]: the row of each passage of each list, -1 where a list has no more."""
    logits: NDArray[np.float32]
    """[lists, passages], the teacher's."""


def plan_epoch(lessons: Lessons, batch: int, seed: int, number: int) -> Iterator[LessonBatch]:
    """All lists in parts, so many parts a batch, in random order."""
    rng = np.random.default_rng((seed, number))
    pairs, owners = _parts(lessons, rng)
    for chosen in np.array_split(rng.permutation(len(pairs)), -(-len(pairs) // batch)):
        yield _batch(lessons, pairs[chosen], owners[chosen], rng)


def _parts(lessons: Lessons, rng: np.random.Generator) -> tuple[Places, Places]:
    """The pairs of each part, [parts, PART], -1 where it has no more, and its list, [parts]."""
    sizes, counts = lessons.sizes, -(-lessons.sizes // PART)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    order = np.argsort(owner + rng.random(len(owner)))  # within each list
    place = np.arange(len(owner)) - lessons.starts[owner]
    # Parts of a list are of like size: a part of one passage would have nothing to compare.
    first = np.cumsum(counts) - counts
    part = first[owner] + place * counts[owner] // sizes[owner]
    starts = np.searchsorted(part, np.arange(counts.sum() + 1))
    columns = starts[:-1, None] + np.arange(PART)
    there = columns < starts[1:, None]
    return np.where(there, order[np.where(there, columns, 0)], -1), np.repeat(np.arange(len(sizes)), counts)


def _batch(lessons: Lessons, pairs: Places, owners: Places, rng: np.random.Generator) -> LessonBatch:
    there = pairs >= 0
    astray = lessons.passages[rng.integers(len(lessons.passages), size=len(owners))]
    passages = np.concatenate((lessons.passages[pairs], astray[:, None]), axis=1)
    logits = np.concatenate((lessons.logits[pairs], np.full_like(astray[:, None], ASTRAY, np.float32)), axis=1)
    there = np.concatenate((there, np.ones_like(there[:, :1])), axis=1)
    queries = np.broadcast_to(lessons.queries[owners, None], passages.shape)
    places = np.where(there, np.cumsum(there).reshape(there.shape) - 1, -1)
    return LessonBatch(queries[there], passages[there], places, logits)


def groups(lengths: Places, tokens: int) -> Sequence[Places]:
    """Places of `lengths` in groups of like length, as many in each, of about so many tokens, longest first."""
    return np.array_split(np.argsort(-lengths, kind="stable"), max(1, -(-int(lengths.sum()) // tokens)))


@dataclass(frozen=True, slots=True)
class Collated:
    """A batch on the device."""

    parts: Sequence[Rows]
    """Rows of like length together."""
    places: Tensor
    """int64 [lists, passages]: as the batch's, in the rows of all parts one after the other."""
    logits: Tensor
    """fp32 [lists, passages]"""


def collate(batch: LessonBatch, gatherer: Gatherer) -> Collated:
    """The batch as rows, ready for the student."""
    split = groups(gatherer.texts.lengths(batch.queries, batch.passages, LONGEST), TOKENS[gatherer.device])
    now = np.argsort(np.concatenate(split))  # where each row is
    places = np.where(batch.places >= 0, now[batch.places], -1)
    return Collated(
        [gatherer.rows(batch.queries[some], batch.passages[some], LONGEST) for some in split],
        gatherer.moved(places),
        gatherer.moved(batch.logits),
    )
