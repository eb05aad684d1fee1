"""The contract between router and scorer: what crosses Ray, and nothing else does.

Plain frozen values of the standard library, so that neither process needs the other's packages.
"""

from dataclasses import dataclass
from typing import Literal

Device = Literal["cpu", "cuda"]
CHARACTERS_A_TOKEN = 4
"""Fewer than English has (4.47 in passages of TREC DL 2019): a request is rather taken for larger than it is."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What becomes of a document that is longer than the model reads at once, which is 512 tokens with the query."""

    max_tokens_per_doc: int | None = None
    """What is behind so many tokens is not read, and nobody misses it."""
    truncate: bool = True
    """Whether what does not fit may be left unread; else such a document fails the request."""
    max_chunks_per_doc: int = 1
    """A long document is read in up to so many chunks, and scores what its best chunk scores."""
    overlap_tokens: int = 0
    """Of a chunk with the one before it; at most half of what fits."""


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """Queries and documents to score: one query for all documents, or as many queries as documents.

    `timeout_s` is how long an answer is of use to the caller, counted from arrival at the scorer: a
    duration and not a moment, because the clocks of two nodes differ.
    """

    queries: tuple[str, ...]
    documents: tuple[str, ...]
    timeout_s: float
    reading: Reading = Reading()

    @property
    def about_tokens(self) -> int:
        """By its characters: what a scorer goes by before it has read them."""
        each = len(self.queries[0]) * len(self.documents) if len(self.queries) == 1 else sum(map(len, self.queries))
        return (each + sum(map(len, self.documents))) // CHARACTERS_A_TOKEN


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds that a job spent in each part of the scorer."""

    queue_ms: float
    tokenize_ms: float
    inference_ms: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is left of a request that waits. The one that looks shortest goes first, waiting makes it look shorter."""

    tokens: float
    apparent_tokens: float


@dataclass(frozen=True, slots=True)
class Load:
    """What a replica has to do when it answers, in padded tokens: they are what a device spends its time on."""

    job_tokens: int = 0
    """Of the job that is answered."""
    device_tokens: int = 0
    """On the device."""
    waiting: tuple[Waiting, ...] = ()
    """Each by itself: for a small request a large one is no queue."""
    tokens_per_s: float | None = None
    """None until the device has had enough to do to show its pace."""


@dataclass(frozen=True, slots=True)
class ScoreOutcome:
    """`logits[i]` is the relevance logit of document i; `tokens` and `pairs` count what the model read.

    There are more pairs than documents where some were read in chunks.
    """

    logits: tuple[float, ...]
    tokens: int
    pairs: int
    timings: Timings
    load: Load = Load()


ScorerStatus = Literal["idle", "starting", "ready", "unavailable"]


@dataclass(frozen=True, slots=True)
class ScorerState:
    """What one variant can do now, and how it does it (`device` and `dtype` once it is ready)."""

    status: ScorerStatus
    replicas: int = 0
    device: Device | None = None
    dtype: str | None = None
    reason: str | None = None
    """Why it is unavailable: the sentence that requests get as well."""
