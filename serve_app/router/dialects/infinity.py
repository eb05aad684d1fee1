"""Infinity's API: `/rerank`, whose documents come back as strings and never as objects (LiteLLM fails on those)."""

from typing import Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from serve_app.router.dialect import Dialect
from serve_app.router.documents import TEXT_FIELDS, DocumentsBody, texts_of
from serve_app.router.ranking import Ranking
from serve_app.router.replies import OpenAIError, Usage, openai_error, score, usage


class InfinityBody(DocumentsBody):
    """What Infinity's clients send."""

    raw_scores: bool | None = Field(None, description="`relevance_score` is the logit instead of its sigmoid. No.")


class InfinityResult(TypedDict):
    """One document of the answer."""

    relevance_score: float
    index: int
    document: NotRequired[str]


class InfinityReply(TypedDict):
    """Results, best first."""

    object: Literal["rerank"]
    results: list[InfinityResult]
    model: str
    usage: Usage
    id: str
    created: int


def _write(body: InfinityBody, ranking: Ranking, created: int) -> InfinityReply:
    texts = texts_of(body.documents, body.rank_fields or TEXT_FIELDS) if body.return_documents else None
    found: list[InfinityResult] = []
    for ranked in ranking.results:
        result: InfinityResult = {"relevance_score": score(ranked, bool(body.raw_scores)), "index": ranked.index}
        if texts is not None:
            result["document"] = texts[ranked.index]
        found.append(result)
    return {
        "object": "rerank",
        "results": found,
        "model": ranking.model,
        "usage": usage(ranking),
        "id": ranking.request_id,
        "created": created,
    }


DIALECT = Dialect("infinity", InfinityBody, InfinityReply, OpenAIError, InfinityBody.asked, _write, openai_error)
