"""vLLM's API: `/rerank`, whose results always carry their document, and `/score`."""

from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, Field
from typing_extensions import TypedDict

from serve_app.errors import InvalidRequest, RerankError
from serve_app.router.dialect import Dialect
from serve_app.router.documents import TEXT_FIELDS, Document, Query, texts_of
from serve_app.router.ranking import Asked, Ranking
from serve_app.router.replies import OpenAIError, Result, Usage, openai_error, results, score, usage
from serve_app.scoring import Reading

OneOrMany = Annotated[
    list[Document], BeforeValidator(lambda value: [value] if isinstance(value, str | dict) else value)
]
_TYPES = {
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    429: "RateLimitError",
}
NotNegative = Annotated[int, Field(ge=0)]


class _Options(BaseModel):
    model: str | None = None
    use_activation: bool | None = Field(None, description="Scores are sigmoids; logits if not. Yes.")
    truncate_prompt_tokens: Annotated[int, Field(ge=-1)] | None = Field(
        None, description="Not used: what does not fit is cut off the document."
    )


class VllmBody(_Options):
    """What vLLM's clients send to `/rerank`."""

    query: Query
    documents: OneOrMany
    top_n: NotNegative | None = Field(None, description="How many results come back. 0 means all.")
    max_tokens_per_doc: NotNegative | None = Field(None, description="Documents are cut after so many tokens; 0: not.")


class VllmScoreBody(_Options):
    """What vLLM's clients send to `/score`: one text and many others, or as many of the one as of the other."""

    text_1: OneOrMany = Field(validation_alias=AliasChoices("text_1", "queries"))
    text_2: OneOrMany = Field(validation_alias=AliasChoices("text_2", "documents", "items"))


class VllmReply(TypedDict):
    """Results, best first."""

    id: str
    model: str
    usage: Usage
    results: list[Result]


class VllmScore(TypedDict):
    """The score of one pair."""

    index: int
    object: Literal["score"]
    score: float


class VllmScoreReply(TypedDict):
    """Scores in the order of the request."""

    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[VllmScore]
    usage: Usage


def _read(body: VllmBody) -> Asked:
    return Asked(
        queries=(body.query,),
        documents=texts_of(body.documents, TEXT_FIELDS),
        model=body.model,
        top_n=body.top_n or None,
        reading=Reading(max_tokens_per_doc=body.max_tokens_per_doc or None),
    )


def _read_score(body: VllmScoreBody) -> Asked:
    firsts, seconds = texts_of(body.text_1, TEXT_FIELDS), texts_of(body.text_2, TEXT_FIELDS)
    if len(firsts) not in (1, len(seconds)):
        raise InvalidRequest(
            f"text_1 has {len(firsts)} texts and text_2 {len(seconds)}: send one text_1, or as many of both", "text_1"
        )
    return Asked(queries=firsts, documents=seconds, model=body.model)


def _write(body: VllmBody, ranking: Ranking, _: int) -> VllmReply:
    return {
        "id": ranking.request_id,
        "model": ranking.model,
        "usage": usage(ranking),
        "results": results(ranking, body.documents, body.use_activation is False),
    }


def _write_score(body: VllmScoreBody, ranking: Ranking, created: int) -> VllmScoreReply:
    in_order = sorted(ranking.results, key=lambda ranked: ranked.index)
    raw = body.use_activation is False
    return {
        "id": ranking.request_id,
        "object": "list",
        "created": created,
        "model": ranking.model,
        "data": [{"index": r.index, "object": "score", "score": score(r, raw)} for r in in_order],
        "usage": usage(ranking),
    }


def _describe(error: RerankError) -> OpenAIError:
    """By the names of OpenAI's errors: LiteLLM takes a 404 of any other type for a bad request."""
    described = openai_error(error)
    default = "InternalServerError" if error.status >= 500 else "BadRequestError"
    described["error"]["type"] = _TYPES.get(error.status, default)
    return described


RERANK = Dialect("vllm", VllmBody, VllmReply, OpenAIError, _read, _write, _describe)
SCORE = Dialect("vllm", VllmScoreBody, VllmScoreReply, OpenAIError, _read_score, _write_score, _describe)
