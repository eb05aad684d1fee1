"""How each kind of service is asked, and how its answer is read: a question in, a path and a body out, and back.

Paths are those of each API's own servers. rerank-serve speaks them below a prefix, so that the URL of, say, Cohere's
dialect there ends in /cohere. What is asked of all is the same: every document ranked, and none sent back.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtest.questions import Question


@dataclass(frozen=True, slots=True)
class Reply:
    """What an answer with status 200 says."""

    ranked: int
    """Different documents in it."""
    tokens: int | None
    """That were read, where the dialect tells."""
    model: str
    """That answered, where the dialect tells; else empty."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One API."""

    path: str
    body: Callable[[Question], dict[str, Any]]
    results: Sequence[str]
    """Where in an answer the list of documents is."""
    tokens: Sequence[str] = ()
    """Where the number of tokens is."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """Sent beside, so that the answer is as small as the others'."""

    def write(self, question: Question, model: str | None) -> bytes:
        """The body that asks for all documents of the question."""
        named = {"model": model} if model else {}
        return json.dumps({**named, **self.body(question), **self.fields}).encode()

    def read(self, content: bytes) -> Reply:
        """Raises ValueError for what is no ranking."""
        try:
            told = json.loads(content)
            ranked = len({result["index"] for result in _at(told, self.results)})
        except (KeyError, TypeError) as error:
            raise ValueError(f"no ranking: {error}") from None
        model = told.get("model") if isinstance(told, dict) else None
        return Reply(ranked, self._tokens(told), model if isinstance(model, str) else "")

    def _tokens(self, told: Any) -> int | None:
        try:
            found = _at(told, self.tokens) if self.tokens else None
        except (KeyError, TypeError):
            return None
        return int(found) if isinstance(found, int | float) else None


def documents_body(question: Question) -> dict[str, Any]:
    """As Cohere began it, and most took over."""
    return {"query": question.query, "documents": list(question.documents)}


def texts_body(question: Question) -> dict[str, Any]:
    """As text-embeddings-inference has it."""
    return {"query": question.query, "texts": list(question.documents)}


def _at(told: Any, path: Sequence[str]) -> Any:
    for name in path:
        told = told[name]
    return told


USAGE = ("usage", "total_tokens")
NONE_BACK = {"return_documents": False}
DIALECTS: Mapping[str, Dialect] = {
    "native": Dialect("/v1/rerank", documents_body, ("results",), USAGE),
    "tei": Dialect("/rerank", texts_body, ()),
    "cohere": Dialect("/v2/rerank", documents_body, ("results",), ("meta", "tokens", "input_tokens")),
    "jina": Dialect("/v1/rerank", documents_body, ("results",), USAGE, NONE_BACK),
    "infinity": Dialect("/rerank", documents_body, ("results",), USAGE, NONE_BACK),
    "vllm": Dialect("/v1/rerank", documents_body, ("results",), USAGE),
}
