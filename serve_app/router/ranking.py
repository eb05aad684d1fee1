"""The router's own words, between the dialects and the service."""

import math
from dataclasses import dataclass

from serve_app.scoring import Timings

DOCUMENTS_PER_SEARCH_UNIT = 100
"""One search unit is a query with up to 100 documents (Cohere's billing unit, which clients price by)."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asked to be answered by: a variant's name, `tier:NAME`, or nothing for the default."""

    model: str | None = None


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """One request, whatever dialect it came in."""

    request_id: str
    wish: Wish
    query: str
    documents: tuple[str, ...]
    timeout_s: float
    top_n: int | None = None
    max_tokens_per_doc: int | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """One document of the answer: its place in the request, and its relevance logit."""

    index: int
    logit: float

    @property
    def probability(self) -> float:
        """Sigmoid of the logit, in float64: in half precision it saturates at 1.0 and loses the order."""
        if self.logit >= 0:
            return 1.0 / (1.0 + math.exp(-self.logit))
        e = math.exp(self.logit)  # the other branch would overflow below -709
        return e / (1.0 + e)


@dataclass(frozen=True, slots=True)
class Usage:
    """What the request cost: tokens that the model read, documents that were scored."""

    tokens: int
    documents: int

    @property
    def search_units(self) -> int:
        """Billing units: one for each started 100 documents."""
        return math.ceil(self.documents / DOCUMENTS_PER_SEARCH_UNIT)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The answer: the best `top_n` documents, best first, and how they were found."""

    request_id: str
    model: str
    results: tuple[Ranked, ...]
    usage: Usage
    timings: Timings


def rank(logits: tuple[float, ...], top_n: int | None) -> tuple[Ranked, ...]:
    """The `top_n` best (all when None) by logit, ties by index."""
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    return tuple(Ranked(i, logits[i]) for i in order[:top_n])
