"""The body that most rerank clients send: a query, and documents as strings or objects. No dialect in particular."""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field

from serve_app.errors import InvalidRequest
from serve_app.router.ranking import Asked, Bounds
from serve_app.scoring import Reading

MOST_CHUNKS = 1_024
"""SiliconFlow's clients ask for so many."""
TEXT_FIELDS = ("text",)

Document = str | dict[str, Any]


def _text_of_object(value: Any) -> Any:
    return value["text"] if isinstance(value, dict) and "text" in value else value


def _as_flag(value: Any) -> Any:
    return {"NONE": False, "END": True}.get(value, value) if isinstance(value, str) else value


Query = Annotated[str, BeforeValidator(_text_of_object)]
"""A string; Jina's clients may send an object with `text`."""
Truncate = Annotated[bool, BeforeValidator(_as_flag)]
"""A boolean; `NONE` and `END` are NIM's words."""
Count = Annotated[int, Field(gt=0)]
Positive = Annotated[float, Field(gt=0)]
Percent = Annotated[float, Field(ge=0, le=100)]


class DocumentsBody(BaseModel):
    """What a client sends. Fields that are not listed are ignored; an explicit null means the default."""

    query: Query = Field(description="What the documents are ranked by. It is read whole as long as it fits.")
    documents: list[Document] = Field(
        description="Strings, or objects with `text` and any other fields. Up to 10,000 by default."
    )
    model: str | None = Field(
        None,
        description="Hub id, short name or alias of a variant, name of a cascade, `tier:fast|balanced|accurate`, or "
        "`auto`, which is what leaving it out is: chosen by the bounds below, the default route if there are none.",
    )
    max_latency_ms: Positive | None = Field(
        None, description="The most accurate variant that is predicted to answer in so many milliseconds. Any time."
    )
    min_ndcg: Percent | None = Field(
        None, description="No variant of a lower NDCG@10, in percent; the cheapest if no other bound is set. None."
    )
    max_price_per_1k_docs: Positive | None = Field(
        None, description="No variant that costs more for 1,000 documents, in US dollars. Any price."
    )
    strict: bool | None = Field(
        None, description="Whether an error is better than an answer outside these bounds by the fastest variant. No."
    )
    top_n: Count | None = Field(None, description="How many results come back. All.")
    return_documents: bool | None = Field(None, description="Whether results carry their document. No.")
    rank_fields: list[str] | None = Field(
        None, description="Fields of document objects that are read, in this order, instead of `text`."
    )
    max_tokens_per_doc: Count | None = Field(
        None, description="Documents are cut after so many tokens. As many as fit beside the query, in 512."
    )
    truncate: Truncate | None = Field(
        None, description="Whether what does not fit is cut off. Yes; if not, such a document fails the request."
    )
    max_chunks_per_doc: Annotated[int, Field(gt=0, le=MOST_CHUNKS)] | None = Field(
        None, description="A long document is read in up to so many chunks, and scores what its best one scores. 1."
    )
    overlap_tokens: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Tokens that a chunk has in common with the one before it. None."
    )
    timeout_ms: Count | None = Field(None, description="For how long an answer is of use. As the service allows.")
    user: str | None = Field(None, description="Whom the request is for: a route may keep one lane for each.")

    def asked(self) -> Asked:
        """In the router's words; raises InvalidRequest for a document without text."""
        return Asked(
            queries=(self.query,),
            documents=texts_of(self.documents, self.rank_fields or TEXT_FIELDS),
            model=self.model,
            top_n=self.top_n,
            reading=Reading(
                max_tokens_per_doc=self.max_tokens_per_doc,
                truncate=self.truncate is not False,
                max_chunks_per_doc=self.max_chunks_per_doc or 1,
                overlap_tokens=self.overlap_tokens or 0,
            ),
            timeout_s=None if self.timeout_ms is None else self.timeout_ms / 1_000,
            bounds=Bounds(self.max_latency_ms, self.min_ndcg, self.max_price_per_1k_docs, self.strict),
            user=self.user,
        )


def texts_of(documents: Sequence[Document], fields: Sequence[str]) -> tuple[str, ...]:
    """What is read of each document: a string itself, of an object its fields that are there, one after the other."""
    return tuple(d if isinstance(d, str) else _text(i, d, fields) for i, d in enumerate(documents))


def _text(place: int, document: dict[str, Any], fields: Sequence[str]) -> str:
    found = [document[field] for field in fields if document.get(field) is not None]
    if not found or not all(isinstance(value, str | int | float) for value in found):
        named = " or ".join(f"`{field}`" for field in fields)
        raise InvalidRequest(
            f"documents.{place} is neither a string nor an object with a string in {named}", f"documents.{place}"
        )
    return "\n".join(map(str, found))
