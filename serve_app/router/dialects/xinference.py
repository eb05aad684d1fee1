"""Xinference's API: `/v1/rerank` as its client sends it, and what that client asks before."""

from typing_extensions import TypedDict

from serve_app.router.dialect import Dialect
from serve_app.router.documents import DocumentsBody
from serve_app.router.ranking import Ranking
from serve_app.router.replies import DetailError, Result, Tokens, detail_error, results


class XinferenceBody(DocumentsBody):
    """What Xinference's client sends, nulls and booleans as strings included."""


class XinferenceMeta(TypedDict):
    """Tokens that the model read."""

    tokens: Tokens


class XinferenceReply(TypedDict):
    """Results, best first."""

    id: str
    results: list[Result]
    meta: XinferenceMeta


class ClusterAuth(TypedDict):
    """Whether the service wants a key."""

    auth: bool


def _write(body: XinferenceBody, ranking: Ranking, _: int) -> XinferenceReply:
    return {
        "id": ranking.request_id,
        "results": results(ranking, body.documents if body.return_documents else None),
        "meta": {"tokens": {"input_tokens": ranking.usage.tokens, "output_tokens": 0}},
    }


DIALECT = Dialect(
    "xinference", XinferenceBody, XinferenceReply, DetailError, XinferenceBody.asked, _write, detail_error
)
