"""Where each dialect is spoken, and which one a body is in where several are. One row a place."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from serve_app.router.dialect import Dialect
from serve_app.router.dialects import cohere, infinity, jina, native, nim, tei, vllm, voyage, weaviate, xinference

ANY: tuple[Dialect[Any], ...] = (native.DIALECT, tei.DIALECT, nim.DIALECT, voyage.DIALECT, weaviate.DIALECT)
"""Told apart by their bodies; the first answers when nothing tells, in a shape that all clients of its family read."""


@dataclass(frozen=True, slots=True)
class Place:
    """A path, and the dialects that are spoken there."""

    path: str
    dialects: tuple[Dialect[Any], ...]

    @property
    def shared(self) -> bool:
        """Whether the body has to tell."""
        return len(self.dialects) > 1


def _own(dialect: Dialect[Any], *paths: str) -> Iterable[Place]:
    return (Place(path, (dialect,)) for path in paths)


PLACES: tuple[Place, ...] = (
    Place("/v1/rerank", ANY),
    Place("/rerank", ANY),
    Place("/v1/models/{model:path}/rerank", ANY),
    Place("/models/{model:path}/rerank", ANY),
    *_own(cohere.V1, "/cohere/v1/rerank"),
    *_own(cohere.V2, "/v2/rerank", "/cohere/v2/rerank"),
    *_own(jina.DIALECT, "/jina/rerank", "/jina/v1/rerank"),
    *_own(tei.DIALECT, "/tei/rerank"),
    *_own(vllm.RERANK, "/vllm/rerank", "/vllm/v1/rerank", "/vllm/v2/rerank"),
    *_own(vllm.SCORE, "/score", "/v1/score", "/vllm/score", "/vllm/v1/score"),
    *_own(nim.DIALECT, "/v1/ranking", "/nim/ranking", "/nim/v1/ranking"),
    *_own(nim.DIALECT, "/v1/retrieval/{model:path}/reranking", "/nim/v1/retrieval/{model:path}/reranking"),
    *_own(voyage.DIALECT, "/voyage/rerank", "/voyage/v1/rerank"),
    *_own(infinity.DIALECT, "/infinity/rerank"),
    *_own(weaviate.DIALECT, "/weaviate/rerank"),
    *_own(xinference.DIALECT, "/xinference/v1/rerank"),
)

SIGNS: tuple[tuple[str, Dialect[Any]], ...] = (
    ("texts", tei.DIALECT),
    ("passages", nim.DIALECT),
    ("property", weaviate.DIALECT),
    ("top_k", voyage.DIALECT),
    ("truncation", voyage.DIALECT),
)
"""Fields that only one of ANY has; the first that is there decides."""

PREFERABLE: Mapping[str, Dialect[Any]] = {
    dialect.name: dialect
    for dialect in (
        cohere.V1,
        cohere.V2,
        jina.DIALECT,
        vllm.RERANK,
        voyage.DIALECT,
        infinity.DIALECT,
        weaviate.DIALECT,
        xinference.DIALECT,
    )
}
"""What a key may prefer where nothing tells: bodies with `documents` look alike."""


def dialect_at(place: Place, sent: Mapping[str, Any], preferred: str | None) -> Dialect[Any]:
    """The dialect that a body is in; `preferred` is the key's."""
    first = place.dialects[0]
    if not place.shared:
        return first
    told = next((dialect for field, dialect in SIGNS if sent.get(field) is not None), None)
    return told or PREFERABLE.get(preferred or "", first)
