"""Our own dialect: the fields that Cohere, Jina and vLLM have in common, and a reply that all their clients read."""

from typing import Any, Literal, NotRequired, cast

from pydantic import ConfigDict, Field
from typing_extensions import TypedDict

from serve_app.errors import RerankError
from serve_app.router.dialect import Dialect
from serve_app.router.documents import DocumentsBody
from serve_app.router.ranking import Ranking
from serve_app.router.replies import Meta, Result, Usage, meta, results

EXAMPLE_REQUEST: dict[str, Any] = {
    "model": "minilm-l12",
    "query": "How many people live in Berlin?",
    "documents": [
        "Berlin is well known for its museums.",
        {"text": "Berlin had a population of 3,520,031 registered inhabitants.", "source": "census"},
    ],
    "return_documents": True,
}


class RerankBody(DocumentsBody):
    """What a client sends. Fields that are not listed are ignored; an explicit null means the default."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE_REQUEST})

    raw_scores: bool | None = Field(
        None, description="`relevance_score` is the model's logit instead of its sigmoid. No."
    )


class RankedResult(Result):
    """One document of the answer."""

    stage: NotRequired[int]
    """The stage that scored it, from 1; only a cascade has stages."""


class DocumentsUsage(Usage):
    """Tokens that the model read, special tokens included, and documents that it scored: those of every stage."""

    documents: int


class RerankReply(TypedDict):
    """Results sorted by logit, best first; documents of equal logits in the order they came.

    What a cascade's later stage scored comes first, and no score is higher than the one before it.
    """

    id: str
    object: Literal["rerank"]
    created: int
    model: str
    results: list[RankedResult]
    usage: DocumentsUsage
    meta: Meta


class ErrorDetail(TypedDict):
    """What is wrong, and the way out. `param` is the field of the request that it is about."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorReply(TypedDict):
    """An error where path and body leave several dialects: what OpenAI's, Cohere's and Jina's clients look for."""

    error: ErrorDetail
    message: str
    detail: str


def _write(body: RerankBody, ranking: Ranking, created: int) -> RerankReply:
    return {
        "id": ranking.request_id,
        "object": "rerank",
        "created": created,
        "model": ranking.model,
        "results": _results(body, ranking),
        "usage": {
            "prompt_tokens": ranking.usage.tokens,
            "total_tokens": ranking.usage.tokens,
            "documents": ranking.usage.documents,
        },
        "meta": meta(ranking, "1"),
    }


def _results(body: RerankBody, ranking: Ranking) -> list[RankedResult]:
    found = results(ranking, body.documents if body.return_documents else None, bool(body.raw_scores))
    stages = [{} if ranked.stage is None else {"stage": ranked.stage} for ranked in ranking.results]
    return [cast(RankedResult, {**result, **stage}) for result, stage in zip(found, stages, strict=True)]


def _describe(error: RerankError) -> ErrorReply:
    detail: ErrorDetail = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return {"error": detail, "message": error.message, "detail": error.message}


DIALECT = Dialect("native", RerankBody, RerankReply, ErrorReply, RerankBody.asked, _write, _describe)
