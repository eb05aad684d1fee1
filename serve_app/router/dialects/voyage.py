"""Voyage's API: `/v1/rerank` with `top_k` and `truncation`, answered in `data`."""

from typing import Literal, NotRequired

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from serve_app.router.dialect import Dialect
from serve_app.router.documents import Count
from serve_app.router.ranking import Asked, Ranking
from serve_app.router.replies import DetailError, detail_error
from serve_app.scoring import Reading


class VoyageBody(BaseModel):
    """What Voyage's clients send."""

    query: str
    documents: list[str]
    model: str | None = None
    top_k: Count | None = Field(None, description="How many results come back. All.")
    return_documents: bool | None = Field(None, description="Whether results carry their document. No.")
    truncation: bool | None = Field(
        None, description="Whether what does not fit is cut off. Yes; if not, such a document fails the request."
    )


class VoyageResult(TypedDict):
    """One document of the answer."""

    index: int
    relevance_score: float
    document: NotRequired[str]


class VoyageUsage(TypedDict):
    """Tokens that the model read."""

    total_tokens: int


class VoyageReply(TypedDict):
    """Results, best first."""

    object: Literal["list"]
    data: list[VoyageResult]
    model: str
    usage: VoyageUsage


def _read(body: VoyageBody) -> Asked:
    return Asked(
        queries=(body.query,),
        documents=tuple(body.documents),
        model=body.model,
        top_n=body.top_k,
        reading=Reading(truncate=body.truncation is not False),
    )


def _write(body: VoyageBody, ranking: Ranking, _: int) -> VoyageReply:
    found: list[VoyageResult] = []
    for ranked in ranking.results:
        result: VoyageResult = {"index": ranked.index, "relevance_score": ranked.probability}
        if body.return_documents:
            result["document"] = body.documents[ranked.index]
        found.append(result)
    return {
        "object": "list",
        "data": found,
        "model": ranking.model,
        "usage": {"total_tokens": ranking.usage.tokens},
    }


DIALECT = Dialect("voyage", VoyageBody, VoyageReply, DetailError, _read, _write, detail_error)
