"""NVIDIA NIM's API: `/v1/ranking` and the hosted `/v1/retrieval/{model}/reranking`, whose scores are logits."""

from typing import Any

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from serve_app.errors import RerankError
from serve_app.router.dialect import Dialect
from serve_app.router.documents import Count, Truncate
from serve_app.router.ranking import Asked, Ranking
from serve_app.router.replies import Usage, usage
from serve_app.scoring import Reading


class NimText(BaseModel):
    """A text, in an object."""

    text: str


class NimBody(BaseModel):
    """What NIM's clients send."""

    query: NimText
    passages: list[NimText]
    model: str | None = None
    truncate: Truncate | None = Field(
        None, description="`END` cuts what does not fit, as does leaving it out; with `NONE` it fails the request."
    )
    top_k: Count | None = Field(None, description="How many rankings come back. All.")


class NimRanking(TypedDict):
    """One passage of the answer."""

    index: int
    logit: float


class NimReply(TypedDict):
    """Rankings, best first."""

    rankings: list[NimRanking]
    usage: Usage


class NimError(TypedDict):
    """What is wrong, and the way out, under each name that NVIDIA's clients look for."""

    object: str
    title: str
    message: str
    detail: str
    type: str
    param: str | None
    code: int


class NimHealth(TypedDict):
    """Whether the service is alive, or ready."""

    object: str
    message: str


def _read(body: NimBody) -> Asked:
    return Asked(
        queries=(body.query.text,),
        documents=tuple(passage.text for passage in body.passages),
        model=body.model,
        top_n=body.top_k,
        reading=Reading(truncate=body.truncate is not False),
    )


def _write(_: NimBody, ranking: Ranking, __: int) -> NimReply:
    return {
        "rankings": [{"index": ranked.index, "logit": ranked.logit} for ranked in ranking.results],
        "usage": usage(ranking),
    }


def _describe(error: RerankError) -> NimError:
    return {
        "object": "error",
        "title": error.code,
        "message": error.message,
        "detail": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.status,
    }


def health(message: str) -> NimHealth:
    """The reply of a probe that passed."""
    return {"object": "health.response", "message": message}


DIALECT: Dialect[Any] = Dialect("nim", NimBody, NimReply, NimError, _read, _write, _describe)
