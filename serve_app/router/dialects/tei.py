"""The API of text-embeddings-inference: `/rerank` with `texts`, answered by a bare list; `/info`."""

from typing import Annotated, Literal, NotRequired

from pydantic import BaseModel, BeforeValidator, Field
from typing_extensions import TypedDict

from serve_app import __version__
from serve_app.catalog import Served, Variant
from serve_app.errors import InvalidRequest, RerankError
from serve_app.router.dialect import Dialect
from serve_app.router.documents import Count
from serve_app.router.ranking import Asked, Ranking
from serve_app.router.replies import score
from serve_app.scoring import Reading, ScorerState

MAX_INPUT_LENGTH = 512

Direction = Annotated[Literal["right", "left"], BeforeValidator(lambda v: v.lower() if isinstance(v, str) else v)]


class TeiBody(BaseModel):
    """What clients of text-embeddings-inference send. `model` and `top_n` are not its own; LiteLLM sends them."""

    query: str
    texts: list[str]
    model: str | None = None
    top_n: Count | None = Field(None, description="How many results come back. All.")
    truncate: bool | None = Field(
        None, description="Whether what does not fit is cut off. Yes; if not, such a text fails the request."
    )
    truncation_direction: Direction | None = Field(None, description="`right`, the end of a text, is what can be cut.")
    raw_scores: bool | None = Field(None, description="`score` is the logit instead of its sigmoid. No.")
    return_text: bool | None = Field(None, description="Whether results carry their text. No.")


class TeiResult(TypedDict):
    """One text of the answer."""

    index: int
    score: float
    text: NotRequired[str]


TeiErrorType = Literal["Unhealthy", "Backend", "Overloaded", "Validation", "Empty"]


class TeiError(TypedDict):
    """What is wrong, and the way out; the type in the letter case that text-embeddings-inference sends."""

    error: str
    error_type: TeiErrorType


class TeiLabels(TypedDict):
    """Names of the head's outputs."""

    id2label: dict[str, str]
    label2id: dict[str, int]


class TeiModelType(TypedDict):
    """Its first key tells clients what the model is for."""

    reranker: TeiLabels


class TeiInfo(TypedDict):
    """The model that answers requests without a name, and its limits; null is what is not limited, or not known.

    tei-client wants every field to be there.
    """

    model_id: str
    model_sha: str
    model_dtype: str
    model_type: TeiModelType
    max_concurrent_requests: int | None
    max_input_length: int
    max_batch_tokens: int
    max_batch_requests: int | None
    max_client_batch_size: int
    auto_truncate: bool
    tokenization_workers: int | None
    version: str
    sha: str | None
    docker_label: str | None


def _read(body: TeiBody) -> Asked:
    if body.truncation_direction == "left":
        raise InvalidRequest("truncation_direction: only `right` is to be had here", "truncation_direction")
    return Asked(
        queries=(body.query,),
        documents=tuple(body.texts),
        model=body.model,
        top_n=body.top_n,
        reading=Reading(truncate=body.truncate is not False),
    )


def _write(body: TeiBody, ranking: Ranking, _: int) -> list[TeiResult]:
    found: list[TeiResult] = []
    for ranked in ranking.results:
        result: TeiResult = {"index": ranked.index, "score": score(ranked, bool(body.raw_scores))}
        if body.return_text:
            result["text"] = body.texts[ranked.index]
        found.append(result)
    return found


def _describe(error: RerankError) -> TeiError:
    return {"error": error.message, "error_type": _type(error)}


def _type(error: RerankError) -> TeiErrorType:
    if error.status == 429:
        return "Overloaded"
    if error.status == 503:
        return "Unhealthy"
    if error.status >= 500:
        return "Backend"
    return "Validation"


def info(served: Served, variant: Variant, state: ScorerState, max_documents: int) -> TeiInfo:
    """What `GET /info` tells of a variant; of a cascade, with what is known of the `variant` of its last stage."""
    label = "LABEL_0"
    return {
        "model_id": served.id,
        "model_sha": variant.revision,
        "model_dtype": state.dtype or variant.serving.dtype,
        "model_type": {"reranker": {"id2label": {"0": label}, "label2id": {label: 0}}},
        "max_concurrent_requests": None,
        "max_input_length": MAX_INPUT_LENGTH,
        "max_batch_tokens": variant.serving.token_budget,
        "max_batch_requests": None,
        "max_client_batch_size": max_documents,
        "auto_truncate": True,
        "tokenization_workers": None,
        "version": __version__,
        "sha": None,
        "docker_label": None,
    }


DIALECT = Dialect("tei", TeiBody, list[TeiResult], TeiError, _read, _write, _describe)
