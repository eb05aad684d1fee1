"""The API of Weaviate's reranker-transformers container: `/rerank` with a `property`, scores in the request's order.

Its scores are what sentence-transformers gives for these models, which are logits.
"""

from pydantic import BaseModel
from typing_extensions import TypedDict

from serve_app.errors import RerankError
from serve_app.router.dialect import Dialect
from serve_app.router.ranking import Asked, Ranking


class WeaviateBody(BaseModel):
    """What Weaviate sends, up to 32 documents at a time. It names no model and no property in use."""

    query: str
    documents: list[str]


class WeaviateScore(TypedDict):
    """One document, as it was sent, and its logit."""

    document: str
    score: float


class WeaviateReply(TypedDict):
    """Scores in the order of the request."""

    scores: list[WeaviateScore]


class WeaviateMeta(TypedDict):
    """What Weaviate shows of the module in its own `/v1/meta`."""

    model: str
    version: str


class WeaviateError(TypedDict):
    """What is wrong, and the way out."""

    error: str


def _read(body: WeaviateBody) -> Asked:
    return Asked(queries=(body.query,), documents=tuple(body.documents))


def _write(body: WeaviateBody, ranking: Ranking, _: int) -> WeaviateReply:
    in_order = sorted(ranking.results, key=lambda ranked: ranked.index)
    return {"scores": [{"document": body.documents[r.index], "score": r.logit} for r in in_order]}


def _describe(error: RerankError) -> WeaviateError:
    return {"error": error.message}


DIALECT = Dialect("weaviate", WeaviateBody, WeaviateReply, WeaviateError, _read, _write, _describe)
