"""Every metric: its name, what it means, its tags. Who counts is told where; what becomes of it is not known here.

Ray puts `ray_` before the name and adds tags of its own: those of the process (WorkerId), its node and its session.
"""

from dataclasses import dataclass
from typing import Protocol

_MILLISECONDS = (5.0, 10.0, 20.0, 35.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 750.0, 1e3, 2e3, 5e3, 1e4, 6e4)


@dataclass(frozen=True, slots=True)
class Counter:
    """Something that is only ever added to."""

    name: str
    help: str
    tags: tuple[str, ...] = ("variant",)


@dataclass(frozen=True, slots=True)
class Gauge:
    """Something that has one value at a time."""

    name: str
    help: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Histogram:
    """Something of which many are measured."""

    name: str
    help: str
    boundaries: tuple[float, ...]
    """Above 0. Ray sums up the middles of buckets, and for what is beyond the last one twice its bound (2.60.0): the
    sum that Prometheus reads is worth as much as the buckets are narrow."""
    tags: tuple[str, ...] = ("variant",)


class Meter(Protocol):
    """Where figures go. Every tag of the metric is given."""

    def count(self, metric: Counter, by: float, **tags: str) -> None:
        """Add to it."""

    def set(self, metric: Gauge, value: float, **tags: str) -> None:
        """Its value from now on."""

    def observe(self, metric: Histogram, value: float, **tags: str) -> None:
        """One that was measured."""


TOKEN_CACHE_HITS = Counter(
    "rerank_token_cache_hits_total", "Documents whose tokens were known from an earlier request."
)
TOKEN_CACHE_MISSES = Counter("rerank_token_cache_misses_total", "Documents that were tokenised.")
MEMORY_SPLITS = Counter("rerank_memory_splits_total", "Batches that were halved because the device had no memory.")

ANSWERS = Counter(
    "rerank_answers_total",
    "Requests that a variant or cascade answered (outcome `ok`) or failed to answer (the error's code).",
    ("route", "variant", "outcome"),
)
ANSWER_MS = Histogram(
    "rerank_answer_milliseconds",
    "From the choice of a variant or cascade to its answer.",
    _MILLISECONDS,
    ("route", "variant"),
)
DOCUMENTS = Counter("rerank_documents_total", "Documents that were scored for answers.")
SHADOWS = Counter(
    "rerank_shadows_total",
    "Requests that a shadow, or a canary's baseline, scored beside the answer (`ok`), failed (the error's code) or was "
    "spared because of too much else (`dropped`).",
    ("route", "variant", "outcome"),
)
SHADOW_MS = Histogram("rerank_shadow_milliseconds", "How long a shadow took.", _MILLISECONDS, ("route", "variant"))
AGREEMENT_SAME_WAY = Counter(
    "rerank_agreement_same_way_total",
    "Sum over compared orders, the answer's and another variant's, of the share of pairs of documents that both have "
    "the same way round. Kendall's tau is twice the mean, less 1.",
    ("route", "variant", "other"),
)
AGREEMENT_OVERLAP = Histogram(
    "rerank_agreement_overlap_at_10",
    "Share of the answer's first ten documents among another variant's first ten.",
    (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    ("route", "variant", "other"),
)
AGREEMENT_FIRST = Counter(
    "rerank_agreement_first_total",
    "Compared orders that have the same document first (`yes`), or not (`no`).",
    ("route", "variant", "other", "same"),
)
CANARIES_ABORTED = Counter(
    "rerank_canaries_aborted_total",
    "Canaries that lost their weight, by the limit they broke.",
    ("route", "variant", "limit"),
)
LEDGER_BEHIND_S = Gauge("rerank_ledger_behind_seconds", "For how long usage may have been counted that is not written.")
ROUTES_VERSION = Gauge("rerank_routes_version", "Version of the routes that the desk holds.")
NEEDED_REPLICAS = Gauge(
    "rerank_needed_replicas", "Replicas that the autoscaling policy asks for, before bounds and delays.", ("variant",)
)
ARRIVING_TOKENS = Gauge(
    "rerank_arriving_tokens_per_second", "Padded tokens that arrive, as the autoscaling policy sees it.", ("variant",)
)
WAITING_TOKENS = Gauge("rerank_waiting_tokens", "Padded tokens that another replica could have begun.", ("variant",))
REPLICA_PACE = Gauge(
    "rerank_replica_tokens_per_second", "Padded tokens that one replica gets through; 0 while unknown.", ("variant",)
)
SCALING_DECISIONS = Counter(
    "rerank_scaling_decisions_total", "Decisions for more or fewer replicas.", ("variant", "reason")
)
