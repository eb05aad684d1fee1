"""Cohere's API, version 1 and 2: `/v1/rerank` and `/v2/rerank`, and its errors, which are a `message`."""

import math
from dataclasses import replace

from typing_extensions import TypedDict

from serve_app.errors import RerankError
from serve_app.router.dialect import Dialect
from serve_app.router.documents import DocumentsBody
from serve_app.router.ranking import Asked, Ranking
from serve_app.router.replies import Meta, Result, meta, results

FEWEST_IN_A_CHUNK = 254
"""Tokens of a document that fit beside a query of the greatest length that is usual: half of what the model reads."""


class CohereBody(DocumentsBody):
    """What Cohere's clients send. Other fields of Cohere's are ignored."""


class CohereReply(TypedDict):
    """Results, best first; `document` only where it was asked for, though version 2 of Cohere's API has none."""

    id: str
    results: list[Result]
    meta: Meta


class CohereError(TypedDict):
    """What is wrong, and the way out."""

    message: str


def _read_v2(body: CohereBody) -> Asked:
    """Cohere reads all of a document up to `max_tokens_per_doc`, in chunks: so is one read where that is sent."""
    asked = body.asked()
    most = asked.reading.max_tokens_per_doc
    if most is None or body.max_chunks_per_doc is not None:
        return asked
    return replace(asked, reading=replace(asked.reading, max_chunks_per_doc=math.ceil(most / FEWEST_IN_A_CHUNK)))


def _reply(body: CohereBody, ranking: Ranking, version: str) -> CohereReply:
    return {
        "id": ranking.request_id,
        "results": results(ranking, body.documents if body.return_documents else None),
        "meta": meta(ranking, version),
    }


def _write_v1(body: CohereBody, ranking: Ranking, _: int) -> CohereReply:
    return _reply(body, ranking, "1")


def _write_v2(body: CohereBody, ranking: Ranking, _: int) -> CohereReply:
    return _reply(body, ranking, "2")


def _describe(error: RerankError) -> CohereError:
    return {"message": error.message}


V1 = Dialect("cohere-v1", CohereBody, CohereReply, CohereError, CohereBody.asked, _write_v1, _describe)
V2 = Dialect("cohere-v2", CohereBody, CohereReply, CohereError, _read_v2, _write_v2, _describe)
