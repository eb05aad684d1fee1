"""Every metric: its name, what it means, its tags. Who counts is told where; what becomes of it is not known here.

Ray puts `ray_` before the name and adds tags of its own: application, deployment, replica.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counter:
    """Something that is only ever added to."""

    name: str
    help: str
    tags: tuple[str, ...] = ("variant",)


TOKEN_CACHE_HITS = Counter(
    "rerank_token_cache_hits_total", "Documents whose tokens were known from an earlier request."
)
TOKEN_CACHE_MISSES = Counter("rerank_token_cache_misses_total", "Documents that were tokenised.")
MEMORY_SPLITS = Counter("rerank_memory_splits_total", "Batches that were halved because the device had no memory.")
