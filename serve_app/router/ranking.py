"""The router's own words, between the dialects and the service."""

import math
from dataclasses import dataclass, replace

from serve_app.catalog import Served
from serve_app.router.caller import Caller
from serve_app.router.standing import Standing
from serve_app.routes import Lane, Route
from serve_app.scoring import Reading, Timings

DOCUMENTS_PER_SEARCH_UNIT = 100
"""One search unit is a query with up to 100 documents (Cohere's billing unit, which clients price by)."""


WHOLE = Reading()
"""Each document at once, as much of it as fits."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the answer may cost, and how good it has to be; None is no bound."""

    max_latency_ms: float | None = None
    min_ndcg: float | None = None
    """NDCG@10 as the catalog has it, in percent."""
    max_price_per_1k_docs: float | None = None
    """US dollars for 1,000 documents."""
    strict: bool | None = None
    """Whether an answer outside the bounds is of no use."""

    def given(self) -> tuple[str, ...]:
        """Names of the bounds that are set."""
        bounds = ("max_latency_ms", "min_ndcg", "max_price_per_1k_docs")
        return tuple(name for name in bounds if getattr(self, name) is not None)

    def or_else(self, others: "Bounds") -> "Bounds":
        """These, and of the others what these leave open."""
        return Bounds(
            others.max_latency_ms if self.max_latency_ms is None else self.max_latency_ms,
            others.min_ndcg if self.min_ndcg is None else self.min_ndcg,
            others.max_price_per_1k_docs if self.max_price_per_1k_docs is None else self.max_price_per_1k_docs,
            others.strict if self.strict is None else self.strict,
        )


UNBOUNDED = Bounds()


@dataclass(frozen=True, slots=True)
class Wish:
    """What the caller asked to be answered by: a variant's name, `tier:NAME`, `auto` or nothing, within bounds."""

    model: str | None = None
    bounds: Bounds = UNBOUNDED


@dataclass(frozen=True, slots=True)
class Choice:
    """The variant or cascade that answers, and why it does."""

    variant: Served
    because: str
    wished: bool = False
    """Whether the caller left the choice to the service: then the reply's body says why, too."""
    degraded: bool = False
    """Whether the answer is expected outside the caller's bounds, or is of a lower rung than the route's lanes."""
    warnings: tuple[str, ...] = ()
    route: Route | None = None
    lane: Lane | None = None
    """Of the route; None where its ladder was stepped down."""


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
    bounds: Bounds = UNBOUNDED
    user: str | None = None
    """Whom the request is for."""

    def with_model(self, model: str) -> "Asked":
        """The same of another model: the one in the path wins."""
        return replace(self, model=model)

    def within(self, bounds: Bounds) -> "Asked":
        """The same within these bounds as well: the body's own win."""
        return replace(self, bounds=self.bounds.or_else(bounds))


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """One request: what is asked, by whom, and for how long an answer is of use."""

    request_id: str
    caller: Caller
    asked: Asked
    timeout_s: float
    lane: str | None = None
    """The lane that is to answer, by its variant; only some keys may say so."""

    def within(self, timeout_s: float) -> "RerankRequest":
        """The same with so much time left."""
        return replace(self, timeout_s=timeout_s)


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
    choice: Choice
    predicted_ms: float
    """How long the router expected the answer to take."""
    results: tuple[Ranked, ...]
    usage: Usage
    timings: Timings
    standing: Standing
    """What is left of the caller's limits."""

    @property
    def model(self) -> str:
        """The hub id of the variant that answered, or the name of the cascade."""
        return self.choice.variant.id

    def headers(self) -> dict[str, str]:
        """What every reply tells beside its body, whose shape is the client's."""
        choice = self.choice
        headers = {
            "x-rerank-model": self.model,
            "x-rerank-because": choice.because,
            "x-rerank-predicted-ms": f"{self.predicted_ms:.1f}",
        }
        if choice.route is not None:
            headers["x-rerank-route"] = choice.route.name
        if choice.degraded:
            headers["x-rerank-degraded"] = "true"
        if choice.warnings:
            headers["x-rerank-warnings"] = "; ".join(choice.warnings)
        return headers | self.standing.headers()


def rank(logits: tuple[float, ...], top_n: int | None) -> tuple[Ranked, ...]:
    """The `top_n` best (all when None) by logit, ties by index."""
    order = sorted(range(len(logits)), key=lambda i: (-logits[i], i))
    return tuple(Ranked(i, logits[i]) for i in order[:top_n])
