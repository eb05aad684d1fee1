"""Our own dialect, `POST /v1/rerank`: the fields that Cohere, Jina and vLLM have in common, with usage and meta."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json, to_json

from serve_app.errors import InvalidRequest, MalformedBody, RerankError
from serve_app.router.ranking import Ranked, Ranking, RerankRequest, Wish

EXAMPLE_REQUEST: dict[str, Any] = {
    "model": "minilm-l12",
    "query": "How many people live in Berlin?",
    "documents": [
        "Berlin is well known for its museums.",
        {"text": "Berlin had a population of 3,520,031 registered inhabitants.", "source": "census"},
    ],
    "return_documents": True,
}
EXAMPLE_REPLY: dict[str, Any] = {
    "id": "9f6b2c1e7d3a4f0b8c5d6e7f80912a3b",
    "object": "rerank",
    "created": 1795910400,
    "model": "cross-encoder/ms-marco-MiniLM-L12-v2",
    "results": [
        {
            "index": 1,
            "relevance_score": 0.9998,
            "document": {"text": "Berlin had a population of 3,520,031 registered inhabitants.", "source": "census"},
        },
        {"index": 0, "relevance_score": 0.0192, "document": {"text": "Berlin is well known for its museums."}},
    ],
    "usage": {"prompt_tokens": 51, "total_tokens": 51, "documents": 2},
    "meta": {"api_version": {"version": "1"}, "billed_units": {"search_units": 1, "total_tokens": 51}},
}


class DocumentObject(BaseModel):
    """A document with fields of the caller's own beside its text."""

    model_config = ConfigDict(extra="allow")

    text: str


class RerankBody(BaseModel):
    """What a client sends. Fields that are not listed are ignored; an explicit null means the default."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE_REQUEST})

    query: str = Field(description="What the documents are ranked by. It is read whole as long as it fits.")
    documents: list[str | DocumentObject] = Field(
        description="Strings, or objects with `text` and any other fields. Up to 10,000 by default."
    )
    model: str | None = Field(
        None, description="Hub id, short name or alias of a variant, or `tier:fast|balanced|accurate`. Default route."
    )
    top_n: Annotated[int, Field(gt=0)] | None = Field(None, description="How many results come back. All.")
    return_documents: bool | None = Field(None, description="Whether results carry their document. No.")
    raw_scores: bool | None = Field(
        None, description="`relevance_score` is the model's logit instead of its sigmoid. No."
    )
    max_tokens_per_doc: Annotated[int, Field(gt=0)] | None = Field(
        None, description="Documents are cut after so many tokens. As many as fit beside the query, in 512."
    )
    user: str | None = Field(None, description="Whom the request is for; not used.")


class Result(BaseModel):
    """One document of the answer. `document` is absent unless it was asked for, and never null."""

    index: int = Field(description="Place of the document in the request, from 0.")
    relevance_score: float = Field(description="Sigmoid of the logit, from 0 to 1; the logit with `raw_scores`.")
    document: dict[str, Any] = Field(default={}, description="The object that was sent; of a string, its `text`.")


class UsageBlock(BaseModel):
    """Tokens that the model read, special tokens included, and documents that it scored."""

    prompt_tokens: int
    total_tokens: int
    documents: int


class ApiVersion(BaseModel):
    """As Cohere has it."""

    version: Literal["1"]


class BilledUnits(BaseModel):
    """One search unit is a query with up to 100 documents."""

    search_units: int
    total_tokens: int


class Meta(BaseModel):
    """What gateways price by."""

    api_version: ApiVersion
    billed_units: BilledUnits


class RerankReply(BaseModel):
    """Results sorted by logit, best first; documents of equal logits in the order they came."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE_REPLY})

    id: str
    object: Literal["rerank"]
    created: int = Field(description="Unix seconds.")
    model: str = Field(description="Hub id of the variant that answered.")
    results: list[Result]
    usage: UsageBlock
    meta: Meta


class ErrorDetail(BaseModel):
    """What is wrong, and the way out."""

    message: str
    type: str
    param: str | None = Field(description="The field of the request that it is about.")
    code: str


class ErrorReply(BaseModel):
    """Every error of this API."""

    error: ErrorDetail


class Asked:
    """A request as it came: the router's request, and what only its answer needs."""

    def __init__(self, request: RerankRequest, body: RerankBody, documents: Sequence[str | Mapping[str, Any]]) -> None:
        self.request = request
        self._documents = documents if body.return_documents else None
        self._raw_scores = bool(body.raw_scores)

    def write(self, ranking: Ranking, created: int) -> bytes:
        """The reply as JSON."""
        usage = ranking.usage
        reply = RerankReply(
            id=ranking.request_id,
            object="rerank",
            created=created,
            model=ranking.model,
            results=[self._result(ranked) for ranked in ranking.results],
            usage=UsageBlock(prompt_tokens=usage.tokens, total_tokens=usage.tokens, documents=usage.documents),
            meta=Meta(
                api_version=ApiVersion(version="1"),
                billed_units=BilledUnits(search_units=usage.search_units, total_tokens=usage.tokens),
            ),
        )
        # Unset, and not None: a document that was sent may hold nulls of its own.
        return reply.model_dump_json(exclude_unset=True).encode()

    def _result(self, ranked: Ranked) -> Result:
        score = ranked.logit if self._raw_scores else ranked.probability
        if self._documents is None:
            return Result(index=ranked.index, relevance_score=score)
        sent = self._documents[ranked.index]
        document = {"text": sent} if isinstance(sent, str) else dict(sent)
        return Result(index=ranked.index, relevance_score=score, document=document)


def read(body: bytes, request_id: str, timeout_s: float, model: str | None = None) -> Asked:
    """Read a body; `model` is the one in the path, which wins. Raises MalformedBody, InvalidRequest."""
    try:
        sent = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise MalformedBody(f"the body is not JSON: {error}") from error
    if not isinstance(sent, dict):
        raise InvalidRequest("the body is not a JSON object: send query and documents")
    try:
        read_body = RerankBody.model_validate(sent)
    except ValidationError as error:
        raise _first_problem(error) from error
    request = RerankRequest(
        request_id=request_id,
        wish=Wish(read_body.model if model is None else model),
        query=read_body.query,
        documents=tuple(d if isinstance(d, str) else d.text for d in read_body.documents),
        timeout_s=timeout_s,
        top_n=read_body.top_n,
        max_tokens_per_doc=read_body.max_tokens_per_doc,
    )
    return Asked(request, read_body, sent["documents"])


def write_error(error: RerankError) -> bytes:
    """The error as JSON."""
    detail = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return to_json({"error": detail})


def _first_problem(error: ValidationError) -> InvalidRequest:
    first = error.errors(include_url=False, include_input=False)[0]
    place = first["loc"]
    if place[0] == "documents" and len(place) > 1:
        param = f"documents.{place[1]}"
        return InvalidRequest(f"{param} is neither a string nor an object with a string in `text`", param)
    param = ".".join(map(str, place))
    return InvalidRequest(f"{param}: {first['msg']}", param)
