"""Which passages the teacher is asked about, for which queries: everything that is random here follows from the seed.

Four kinds of training lists, because each shows the student something else: candidates of a first stage (as it will
meet them), real queries with what BM25 finds, queries made from passages, which have a certain answer, and questions
about what passages speak of, which some answer and others only mention.
"""

import random
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from serve_app.scoring import Device
from training.corpus import Corpus, Retrieved
from training.excerpts import Excerpts
from training.first_stage import FirstStage
from training.questions import make_questions

_QUESTION = re.compile(r"(?:what|how|who|when|where|why|which|is|are|can|does|do)\b[^.?!]{8,80}\?", re.IGNORECASE)
_SENTENCE_END = re.compile(r"[.?!]\s")

HELD_OUT = 20
"""First-stage lists whose queries, with all their lists, and whose passages are kept from training: what is chosen, is
chosen by them. A student remembers passages, and is to be good at others."""
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

    passages: Sequence[str]
    """The corpus', and excerpts of them."""
    training: Sequence[ScoringList]
    held_out: Sequence[ScoringList]

    @property
    def lists(self) -> Sequence[ScoringList]:
        """Held out or not."""
        return [*self.held_out, *self.training]

    @property
    def pairs(self) -> int:
        """Pairs of the lists for training, those of repeated ones as often."""
        return sum(len(each.passages) for each in self.training)


def make_plan(corpus: Corpus, seed: int, device: Device, questions: int = QUESTIONS) -> Plan:
    """Choose the lists; BM25 works on the device."""
    rng = random.Random(seed)
    hidden = {each.query for each in rng.sample(corpus.retrieved, HELD_OUT)}
    beside = {place for each in corpus.retrieved if each.query in hidden for place in each.passages}
    held_out = _first_stage(corpus, [each for each in corpus.retrieved if each.query in hidden], beside, device)
    places = [place for place in range(len(corpus.passages)) if place not in beside]
    excerpts = Excerpts(corpus.passages, places, rng)
    training = _first_stage(corpus, [each for each in corpus.retrieved if each.query not in hidden], places, device)
    index = FirstStage(corpus.passages, places, device)
    queries = [query for query in corpus.queries if query not in hidden]
    asked = [*queries, *make_questions(queries, [corpus.passages[place] for place in places], questions, rng)]
    others = [
        ScoringList(query, excerpts.among(_spread(found, OTHERS, rng), rng))
        for query, found in zip(asked, index.search(asked, DEPTH), strict=True)
    ]
    for each in _made_lists(index, corpus.passages, places, rng):
        if each.query not in hidden:
            others.append(ScoringList(each.query, excerpts.among(each.passages, rng)))
    rng.shuffle(others)
    return Plan(excerpts.passages, training * REPEATED + others, held_out)


def _first_stage(
    corpus: Corpus, retrieved: Sequence[Retrieved], places: Collection[int], device: Device
) -> list[ScoringList]:
    """The lists without other passages than those; and what BM25 finds among those for their queries."""
    allowed = set(places)
    queries = list(dict.fromkeys(each.query for each in retrieved))
    found = FirstStage(corpus.passages, sorted(allowed), device).search(queries, DEPTH)
    lists = [ScoringList(each.query, [place for place in each.passages if place in allowed]) for each in retrieved]
    return lists + [ScoringList(*each) for each in zip(queries, found, strict=True)]


def _made_lists(
    index: FirstStage, passages: Sequence[str], places: Sequence[int], rng: random.Random
) -> Iterator[ScoringList]:
    sources = [place for place in places for _ in range(MADE)]
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
