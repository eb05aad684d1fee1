"""Jina's API: `/v1/rerank`, with errors that are a `detail`."""

from typing import Literal

from typing_extensions import TypedDict

from serve_app.router.dialect import Dialect
from serve_app.router.documents import DocumentsBody
from serve_app.router.ranking import Ranking
from serve_app.router.replies import DetailError, Result, Usage, detail_error, results, usage


class JinaBody(DocumentsBody):
    """What Jina's clients send."""


class JinaReply(TypedDict):
    """Results, best first."""

    model: str
    object: Literal["list"]
    usage: Usage
    results: list[Result]


def _write(body: JinaBody, ranking: Ranking, _: int) -> JinaReply:
    return {
        "model": ranking.model,
        "object": "list",
        "usage": usage(ranking),
        "results": results(ranking, body.documents if body.return_documents else None),
    }


DIALECT = Dialect("jina", JinaBody, JinaReply, DetailError, JinaBody.asked, _write, detail_error)
