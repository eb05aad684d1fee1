"""Which passages the teacher is asked about, for which queries: everything that is random here follows from the seed.

Four kinds of training lists, because each shows the student something else: candidates of a first stage (as it will
meet them), real queries with what BM25 finds, queries made from passages, which have a certain answer, and questions
about what passages speak of, which some answer and others only mention.
"""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from serve_app.scoring import Device
from training.corpus import Corpus
from training.first_stage import FirstStage
from training.questions import make_questions

_QUESTION = re.compile(r"(?:what|how|who|when|where|why|which|is|are|can|does|do)\b[^.?!]{8,80}\?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.?!]\s")

HELD_OUT = 40
"""First-stage lists whose queries are kept from training with all their lists: what is chosen, is chosen by them."""
DEPTH = 100
"""BM25's first, for the queries of first-stage lists as well: a service is given about as many."""
TOP = 8
"""Of BM25's best, all; of the others, some."""
OTHERS = 16
"""Of the others, for a real query or a question."""
MADE = 3
"""Queries made from each passage."""
OTHERS_OF_MADE = 7
QUESTIONS = 60_000
"""Lists of questions about the passages' subjects."""
REPEATED = 3
"""Times that a first-stage list counts: they are few, and nowhere else are so many passages to the point."""


@dataclass(frozen=True, slots=True)
class ScoringList:
    """A query and the places of the passages that it is scored with."""

    query: str
    passages: Sequence[int]


@dataclass(frozen=True, slots=True)
class Plan:
    """All lists. Those for training begin with the first-stage lists; of the others any beginning is a fair sample."""

    training: Sequence[ScoringList]
    held_out: Sequence[ScoringList]

    @property
    def lists(self) -> Sequence[ScoringList]:
        """Held out or not."""
        return [*self.held_out, *self.training]

    @property
    def pairs(self) -> int:
        """Pairs of the lists for training."""
        return sum(len(each.passages) for each in self.training)


def make_plan(corpus: Corpus, seed: int, device: Device, questions: int = QUESTIONS) -> Plan:
    """Choose the lists; BM25 works on the device."""
    rng = random.Random(seed)
    index = FirstStage(corpus.passages, device)
    retrieved = rng.sample(corpus.retrieved, len(corpus.retrieved))
    hidden = {each.query for each in retrieved[:HELD_OUT]}
    first_stage = [ScoringList(each.query, each.passages) for each in retrieved]
    known = list(dict.fromkeys(each.query for each in retrieved))
    first_stage += [ScoringList(*each) for each in zip(known, index.search(known, DEPTH), strict=True)]
    queries = [query for query in corpus.queries if query not in hidden]
    asked = [*queries, *make_questions(queries, corpus.passages, questions, rng)]
    others = [
        ScoringList(query, _spread(found, OTHERS, rng))
        for query, found in zip(asked, index.search(asked, DEPTH), strict=True)
    ]
    others += [each for each in _made_lists(index, corpus.passages, rng) if each.query not in hidden]
    rng.shuffle(others)
    training = [each for each in first_stage if each.query not in hidden]
    return Plan(training * REPEATED + others, [each for each in first_stage if each.query in hidden])


def _made_lists(index: FirstStage, passages: Sequence[str], rng: random.Random) -> Iterator[ScoringList]:
    sources = [place for place in range(len(passages)) for _ in range(MADE)]
    queries = [_made(passages[place], rng) for place in sources]
    for source, query, found in zip(sources, queries, index.search(queries, DEPTH), strict=True):
        others = [place for place in found if place != source]
        yield ScoringList(query, [source, *_spread(others, OTHERS_OF_MADE, rng)])


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


def _spread(found: Sequence[int], others: int, rng: random.Random) -> list[int]:
    """The best, and so many others."""
    rest = found[TOP:]
    return [*found[:TOP], *rng.sample(rest, min(others, len(rest)))]
