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


@dataclass(frozen=True, slots=True)
class Gauge:
    """Something that goes up and down."""

    name: str
    help: str
    tags: tuple[str, ...] = ("variant",)


TOKEN_CACHE_HITS = Counter(
    "rerank_token_cache_hits_total", "Documents whose tokens were known from an earlier request."
)
TOKEN_CACHE_MISSES = Counter("rerank_token_cache_misses_total", "Documents that were tokenised.")
MEMORY_SPLITS = Counter("rerank_memory_splits_total", "Batches that were halved because the device had no memory.")

NEEDED_REPLICAS = Gauge(
    "rerank_needed_replicas", "Replicas that the autoscaling policy asks for, before bounds and delays."
)
ARRIVING_TOKENS = Gauge(
    "rerank_arriving_tokens_per_second", "Padded tokens that arrive, as the autoscaling policy sees it."
)
WAITING_TOKENS = Gauge("rerank_waiting_tokens", "Padded tokens that another replica could have begun.")
REPLICA_PACE = Gauge(
    "rerank_replica_tokens_per_second", "Padded tokens that one replica gets through; 0 while unknown."
)
SCALING_DECISIONS = Counter(
    "rerank_scaling_decisions_total", "Decisions for more or fewer replicas.", ("variant", "reason")
)
