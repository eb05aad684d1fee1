"""Parts that the replies of several dialects have in common. A ranking comes in, pieces of JSON go out."""

from collections.abc import Sequence
from typing import Any, NotRequired

from typing_extensions import TypedDict

from serve_app.errors import RerankError
from serve_app.router.documents import Document
from serve_app.router.ranking import Ranked, Ranking


class Result(TypedDict):
    """One document of the answer. `document` is absent unless it was asked for, and never null."""

    index: int
    """Place of the document in the request, from 0."""
    relevance_score: float
    """Sigmoid of the logit, from 0 to 1; the logit with `raw_scores`."""
    document: NotRequired[dict[str, Any]]
    """The object that was sent; of a string, its `text`."""


class Usage(TypedDict):
    """Tokens that the model read, special tokens included."""

    prompt_tokens: int
    total_tokens: int


class ApiVersion(TypedDict):
    """As Cohere has it."""

    version: str


class BilledUnits(TypedDict):
    """One search unit is a query with up to 100 documents; each chunk of a long one counts as a document."""

    search_units: int
    total_tokens: int


class Tokens(TypedDict):
    """As Cohere has it."""

    input_tokens: int
    output_tokens: int


class Meta(TypedDict):
    """What gateways price by; where the caller left the choice to the service, why this model was chosen."""

    api_version: ApiVersion
    billed_units: BilledUnits
    tokens: Tokens
    because: NotRequired[str]
    degraded: NotRequired[bool]
    """Absent unless the answer was expected outside the bounds that the caller set."""
    warnings: NotRequired[list[str]]


class OpenAIDetail(TypedDict):
    """What is wrong, and the way out."""

    message: str
    type: str
    param: str | None
    code: int


class OpenAIError(TypedDict):
    """An error as vLLM and Infinity write it: OpenAI's, with the HTTP status as its code."""

    error: OpenAIDetail


class DetailError(TypedDict):
    """An error as Jina, Voyage and Xinference write it."""

    detail: str


def results(ranking: Ranking, documents: Sequence[Document] | None, raw_scores: bool = False) -> list[Result]:
    """Best first, each with its document as an object unless `documents` is None."""
    if documents is None:
        return [{"index": r.index, "relevance_score": score(r, raw_scores)} for r in ranking.results]
    return [
        {"index": r.index, "relevance_score": score(r, raw_scores), "document": as_object(documents[r.index])}
        for r in ranking.results
    ]


def score(ranked: Ranked, raw_scores: bool) -> float:
    """The logit, or its sigmoid."""
    return ranked.logit if raw_scores else ranked.probability


def as_object(document: Document) -> dict[str, Any]:
    """A document as most clients read it."""
    return {"text": document} if isinstance(document, str) else document


def usage(ranking: Ranking) -> Usage:
    """Tokens, as OpenAI counts them."""
    return {"prompt_tokens": ranking.usage.tokens, "total_tokens": ranking.usage.tokens}


def meta(ranking: Ranking, version: str) -> Meta:
    """Cohere's, for one of its API versions."""
    used, choice = ranking.usage, ranking.choice
    told: Meta = {
        "api_version": {"version": version},
        "billed_units": {"search_units": used.search_units, "total_tokens": used.tokens},
        "tokens": {"input_tokens": used.tokens, "output_tokens": 0},
    }
    if choice.wished or choice.warnings:
        told["because"] = choice.because
    if choice.degraded:
        told["degraded"] = True
    if choice.warnings:
        told["warnings"] = list(choice.warnings)
    return told


def openai_error(error: RerankError) -> OpenAIError:
    """The error in OpenAI's shape."""
    detail: OpenAIDetail = {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.status,
    }
    return {"error": detail}


def detail_error(error: RerankError) -> DetailError:
    """The error as FastAPI's services write it."""
    return {"detail": error.message}
