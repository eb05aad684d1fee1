"""Some sentences of a passage in its place: the same words with the answer or without, and more texts to learn from."""

import random
import re
from collections.abc import Sequence

EACH = 2
"""Excerpts of a passage that has several sentences."""
SHARE = 0.3
"""Of the passages of a list, so many are excerpts."""

_SENTENCE_END = re.compile(r"(?<=[.?!])\s+")


class Excerpts:
    """Passages, with excerpts of some of them behind."""

    def __init__(self, passages: Sequence[str], places: Sequence[int], rng: random.Random) -> None:
        """Excerpts are made of the passages at those places."""
        self.passages = list(passages)
        self._places: dict[int, range] = {}
        for place in places:
            sentences = _SENTENCE_END.split(passages[place])
            if len(sentences) > 1:
                self._places[place] = range(len(self.passages), len(self.passages) + EACH)
                self.passages += [_excerpt(sentences, rng) for _ in range(EACH)]

    def among(self, places: Sequence[int], rng: random.Random) -> list[int]:
        """The places of a list, with excerpts instead of some."""
        return [
            rng.choice(self._places[place]) if place in self._places and rng.random() < SHARE else place
            for place in places
        ]


def _excerpt(sentences: Sequence[str], rng: random.Random) -> str:
    """Some in a row, but not all."""
    count = rng.randint(1, len(sentences) - 1)
    start = rng.randint(0, len(sentences) - count)
    return " ".join(sentences[start : start + count])
