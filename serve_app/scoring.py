"""The contract between router and scorer: what crosses Ray, and nothing else does.

Plain frozen values of the standard library, so that neither process needs the other's packages.
"""

from dataclasses import dataclass
from typing import Literal

Device = Literal["cpu", "cuda"]


@dataclass(frozen=True, slots=True)
class ScoreJob:
    """One query and the documents to score against it.

    `timeout_s` is how long an answer is of use to the caller, counted from arrival at the scorer: a
    duration and not a moment, because the clocks of two nodes differ.
    """

    query: str
    documents: tuple[str, ...]
    timeout_s: float
    max_tokens_per_doc: int | None = None


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds that a job spent in each part of the scorer."""

    queue_ms: float
    tokenize_ms: float
    inference_ms: float


@dataclass(frozen=True, slots=True)
class ScoreOutcome:
    """`logits[i]` is the relevance logit of document i; `tokens` counts what the model read."""

    logits: tuple[float, ...]
    tokens: int
    timings: Timings


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
