"""The router's own words, between the dialects and the service."""

import math
from dataclasses import dataclass, replace

from serve_app.router.caller import Caller
from serve_app.router.standing import Standing
from serve_app.scoring import Reading, Timings

DOCUMENTS_PER_SEARCH_UNIT = 100
"""One search unit is a query with up to 100 documents (Cohere's billing unit, which clients price by)."""


WHOLE = Reading()
"""Each document at once, as much of it as fits."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asked to be answered by: a variant's name, `tier:NAME`, or nothing for the default."""

    model: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What a body asks for, whatever its dialect."""

    queries: tuple[str, ...]
    """One for all documents, or one for each."""
    documents: tuple[str, ...]
    model: str | None = None
    top_n: int | None = None
    reading: Reading = WHOLE
    timeout_s: float | None = None

    def with_model(self, model: str) -> "Asked":
        """The same of another model: the one in the path wins."""
        return replace(self, model=model)


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """One request: what is asked, by whom, and for how long an answer is of use."""

    request_id: str
    caller: Caller
    asked: Asked
    timeout_s: float


@dataclass(frozen=True, slots=True)
class Ranked:
    """One document of the answer: its place in the request, and its relevance logit."""

    index: int
    logit: float
    stage: int | None = None
    """Of a cascade, the stage that scored it, from 1."""

    @property
    def probability(self) -> float:
        """Sigmoid of the logit, in float64: in half precision it saturates at 1.0 and loses the order."""
        if self.logit >= 0:
            return 1.0 / (1.0 + math.exp(-self.logit))
        e = math.exp(self.logit)  # the other branch would overflow below -709
        return e / (1.0 + e)


@dataclass(frozen=True, slots=True)
class Usage:
    """What the request cost: documents that were scored, the tokens and pairs that the model read for them."""

    tokens: int
    documents: int
    pairs: int

    @property
    def search_units(self) -> int:
        """Billing units: one for each started 100 documents, each chunk of a long one counted as a document."""
        return math.ceil(self.pairs / DOCUMENTS_PER_SEARCH_UNIT)


@dataclass(frozen=True, slots=True)
class Ranking:
    """The answer: the best `top_n` documents, best first, and how they were found."""

    request_id: str
    model: str
    results: tuple[Ranked, ...]
    usage: Usage
    timings: Timings
    standing: Standing
    """What is left of the caller's limits."""


def rank(logits: tuple[float, ...], top_n: int | None) -> tuple[Ranked, ...]:
    """The `top_n` best (all when None) by logit, ties by index."""
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    return tuple(Ranked(i, logits[i]) for i in order[:top_n])
