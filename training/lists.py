"""Which passages the teacher is asked about, for which queries: everything that is random here follows from the seed.

Four kinds of training lists, because each shows the student something else: candidates of a first stage (as it will
meet them), real queries with what BM25 finds, queries made from passages, which have a certain answer, and questions
about what passages speak of, which some answer and others only mention.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import bm25s

from training.corpus import Corpus
from training.questions import make_questions

_QUESTION = re.compile(r"(?:what|how|who|when|where|why|which|is|are|can|does|do)\b[^.?!]{8,80}\?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.?!]\s")

HELD_OUT = 40
"""First-stage lists that are kept from training with all others of their queries: what is chosen, is chosen by them."""
REAL = 15_000
"""Real queries: those for which BM25 finds the most, since the passages were not collected for them."""
RANKS = ((1, 1), (2, 2), (3, 3), (4, 10), (11, 50))
"""One passage of each range of BM25 ranks, for a real query or a question."""
MADE = 20_000
"""Queries made from passages."""
OTHERS = 2
"""Passages beside the one that a query was made from."""


@dataclass(frozen=True, slots=True)
class ScoringList:
    """A query and the places of the passages that it is scored with."""

    query: str
    passages: Sequence[int]


@dataclass(frozen=True, slots=True)
class Plan:
    """All lists."""

    training: Sequence[ScoringList]
    held_out: Sequence[ScoringList]

    @property
    def pairs(self) -> int:
        """Pairs that the teacher has to score."""
        return sum(len(each.passages) for each in (*self.training, *self.held_out))


def make_plan(corpus: Corpus, seed: int, questions: int) -> Plan:
    """Choose the lists, with so many questions about the passages' subjects."""
    rng = random.Random(seed)
    first_stage = rng.sample(corpus.retrieved, len(corpus.retrieved))
    held_out = [ScoringList(each.query, each.passages) for each in first_stage[:HELD_OUT]]
    hidden = {each.query for each in held_out}
    training = [ScoringList(each.query, each.passages) for each in first_stage if each.query not in hidden]
    index = _Bm25(corpus.passages)
    training += _real_queries(index, [query for query in corpus.queries if query not in hidden], rng)
    training += _made_queries(index, corpus.passages, rng)
    asked = make_questions([query for query in corpus.queries if query not in hidden], corpus.passages, questions, rng)
    training += [_spread(each, rng) for each in index.search(asked, RANKS[-1][1])]
    return Plan(training, held_out)


def _real_queries(index: "_Bm25", queries: Sequence[str], rng: random.Random) -> Iterator[ScoringList]:
    found = index.search(queries, RANKS[-1][1])
    for each in sorted(found, key=lambda each: -each.score_per_word)[:REAL]:
        yield _spread(each, rng)


def _made_queries(index: "_Bm25", passages: Sequence[str], rng: random.Random) -> Iterator[ScoringList]:
    sources = rng.sample(range(len(passages)), min(MADE, len(passages)))
    queries = [_made(passages[place], rng) for place in sources]
    for source, found in zip(sources, index.search(queries, OTHERS + 1), strict=True):
        others = [place for place in found.passages if place != source]
        yield ScoringList(found.query, [source, *others[:OTHERS]])


def _made(text: str, rng: random.Random) -> str:
    """A question that the passage asks, else some words of a sentence: its beginning, any in a row, or the longest."""
    if questions := [question for question in _QUESTION.findall(text) if rng.random() < 0.5]:
        return " ".join(rng.choice(questions).split())
    words = rng.choice([part.split() for part in _SENTENCE_END.split(text) if part.strip()] or [text.split()])
    length = min(len(words), rng.randint(3, 9))
    start = rng.choice([0, rng.randint(0, len(words) - length)])
    chosen = words[start : start + length]
    if rng.random() < 1 / 3:
        longest = sorted(words, key=lambda word: -len(word))[:length]
        chosen = [word for word in words if word in longest][:length]
    return " ".join(chosen)


def _spread(found: "_Found", rng: random.Random) -> ScoringList:
    return ScoringList(found.query, [found.passages[rng.randint(first, last) - 1] for first, last in RANKS])


@dataclass(frozen=True, slots=True)
class _Found:
    query: str
    passages: Sequence[int]
    score_per_word: float


class _Bm25:
    """A first stage over the passages."""

    def __init__(self, passages: Sequence[str]) -> None:
        self._index = bm25s.BM25()
        self._index.index(bm25s.tokenize(list(passages), show_progress=False), show_progress=False)

    def search(self, queries: Sequence[str], depth: int) -> Sequence[_Found]:
        """The best passages for each query, best first."""
        if not queries:  # bm25s 0.3 fails on none
            return []
        tokens = bm25s.tokenize(list(queries), return_ids=False, show_progress=False)
        results = self._index.retrieve(tokens, k=depth)
        found = zip(queries, results.documents.tolist(), results.scores[:, 0].tolist(), tokens, strict=True)
        return [_Found(query, places, score / max(1, len(words))) for query, places, score, words in found]
