"""The Ray Serve deployment of one variant: jobs in, outcomes out. It wires tokenizer, scheduler and engine."""

import asyncio
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ray import serve
from ray.util.metrics import Counter

from serve_app import metrics
from serve_app.catalog import Variant
from serve_app.errors import RerankError
from serve_app.scorer.budget import PASSES_AT_ONCE
from serve_app.scorer.chunks import best_of
from serve_app.scorer.demand import ReplicaDemand
from serve_app.scorer.scheduler import Scheduler
from serve_app.scorer.slices import Slice
from serve_app.scoring import Device, ScoreJob, ScoreOutcome, ScorerState, Timings

if TYPE_CHECKING:
    from serve_app.scorer.loading import LoadedModel

LOAD_AGAIN_S = 10.0
"""A replica without weights looks for them again on the first request after this long."""
REQUESTS_IN_REPLICA = 256
"""Requests that a replica holds at once. Ray's 5 would starve the batches: the scheduler has to see the queue."""
SLICES_PER_BATCH = REQUESTS_IN_REPLICA
"""Batches are bounded by tokens, in the scheduler; Ray warns of a bound above the requests that it lets in."""

_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log


@dataclass(frozen=True, slots=True)
class ScorerOptions:
    """What a replica is given by the process that starts the service."""

    models_dir: Path | None
    device: Device
    threads: int
    """CPU threads that its forward passes share."""
    max_wait_s: float
    """See Limits."""


@dataclass(frozen=True, slots=True)
class _Live:
    model: "LoadedModel"
    scheduler: Scheduler


class _Counts:
    """Passes on to Ray what tokenizer and engine have counted since the last time."""

    def __init__(self, variant: str) -> None:
        self._passed_on = dict.fromkeys(
            (metrics.TOKEN_CACHE_HITS, metrics.TOKEN_CACHE_MISSES, metrics.MEMORY_SPLITS), 0
        )
        self._counters = {each: Counter(each.name, each.help, each.tags) for each in self._passed_on}
        for counter in self._counters.values():
            counter.set_default_tags({"variant": variant})

    def report(self, model: "LoadedModel") -> None:
        cache = model.tokenizer.cache
        now = {
            metrics.TOKEN_CACHE_HITS: cache.hits,
            metrics.TOKEN_CACHE_MISSES: cache.misses,
            metrics.MEMORY_SPLITS: model.engine.splits,
        }
        for metric, count in now.items():
            if more := count - self._passed_on[metric]:
                self._counters[metric].inc(more)
        self._passed_on = now


class Scorer:
    """One replica: one variant on one device.

    Weights that cannot be had do not fail the constructor: Ray would start the replica again and again, and
    callers would wait. Such a replica is up, answers every job with the reason, and looks again now and then.
    """

    def __init__(self, variant: Variant, options: ScorerOptions) -> None:
        self._variant = variant
        self._options = options
        self._device_threads = ThreadPoolExecutor(max_workers=PASSES_AT_ONCE, thread_name_prefix="device")
        self._counts = _Counts(variant.name)
        self._loading = asyncio.Lock()
        self._state: _Live | RerankError = self._load()
        self._tried_at = time.monotonic()

    async def score(self, job: ScoreJob) -> ScoreOutcome:
        """Score a job; raises WeightsUnavailable, WeightsInvalid, InputTooLong.

        And Overloaded, DeadlineExceeded, EngineFailure.
        """
        came = time.monotonic()
        live = await self._live()
        live.scheduler.require_room(job.about_tokens)
        began = time.monotonic()
        pairs = await live.model.tokenizer.pairs(job.queries, job.documents, job.reading)
        tokenized = time.monotonic()
        scored = await live.scheduler.score(pairs.rows, job.timeout_s - (tokenized - came))
        self._counts.report(live.model)
        timings = Timings(
            queue_ms=1_000 * (scored.queue_s + began - came),
            tokenize_ms=1_000 * (tokenized - began),
            inference_ms=1_000 * scored.inference_s,
        )
        logits = best_of(pairs.documents, scored.logits, len(job.documents))
        tokens = sum(len(row.ids) for row in pairs.rows)
        return ScoreOutcome(logits, tokens, len(pairs.rows), timings, scored.load)

    async def describe(self) -> ScorerState:
        """What this replica can do now."""
        if isinstance(self._state, RerankError):
            return ScorerState("unavailable", reason=self._state.message)
        engine = self._state.model.engine
        return ScorerState("ready", device=engine.device, dtype=engine.dtype)

    async def record_autoscaling_stats(self) -> dict[str, int | float]:
        """What Ray Serve asks every few seconds, for the autoscaling policy; it counts as no request."""
        state = self._state
        demand = ReplicaDemand() if isinstance(state, RerankError) else state.scheduler.demand()
        return demand.figures()

    @serve.batch(max_batch_size=SLICES_PER_BATCH, batch_wait_timeout_s=0, max_concurrent_batches=PASSES_AT_ONCE)
    async def score_slices(self, slices: list[Slice]) -> list[list[float]]:
        """Logits of each slice, from one batch on the device; called by the scheduler alone."""
        live = await self._live()
        alone = live.scheduler.taken()
        rows = [row for part in slices for row in part.rows]
        loop = asyncio.get_running_loop()
        logits = iter(await loop.run_in_executor(self._device_threads, live.model.engine.run, rows, alone))
        return [[next(logits) for _ in part.rows] for part in slices]

    async def _live(self) -> _Live:
        async with self._loading:
            state = self._state
            if isinstance(state, RerankError) and time.monotonic() - self._tried_at > LOAD_AGAIN_S:
                loop = asyncio.get_running_loop()
                self._state = state = await loop.run_in_executor(self._device_threads, self._load)
                self._tried_at = time.monotonic()
        if isinstance(state, RerankError):
            # A copy: an exception that is raised again chains the traceback of every earlier request to itself.
            raise type(state)(state.message)
        return state

    def _load(self) -> _Live | RerankError:
        # torch is imported here and not above: the process that builds the application imports this module too.
        from serve_app.scorer.loading import load

        options = self._options
        try:
            model = load(self._variant, options.models_dir, options.device, options.threads)
        except RerankError as error:
            _log.warning("%s is not available: %s", self._variant.name, error)
            return error
        engine = model.engine
        way = f"{engine.path} batches of {engine.token_budget} tokens"
        _log.info("%s is ready on %s in %s, %s", self._variant.name, engine.device, engine.dtype, way)
        return _Live(model, Scheduler(self.score_slices, engine.token_budget, PASSES_AT_ONCE, options.max_wait_s))
