"""Feeds the device when it frees: the asyncio rim of the slice queue, which decides what goes next.

`@serve.batch` alone cuts a batch every few milliseconds even while the device is busy, and what is cut waits
frozen: at 250 small requests/s that gave p50/p99 of 1719/3435 ms, forming the batch when the device frees 28/39 ms.
So a batch is formed here, at that moment, and sent through the deployment's batched method whole.
"""

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from serve_app.errors import DeadlineExceeded, EngineFailure, Overloaded, RerankError
from serve_app.scorer.demand import Arrivals, ReplicaDemand
from serve_app.scorer.packing import Row
from serve_app.scorer.slices import Pace, Slice, SliceQueue, Work, cut, halved_every
from serve_app.scoring import Load

SURE = 0.8
"""Part of a predicted time that has to be over the deadline before a request is refused: the pace is an estimate."""
LONGEST_RETRY_AFTER_S = 60.0
ALWAYS_HELD = 4
"""Requests that may wait however long it takes: a few callers of a slow model are no overload."""
PATIENCE = 8.0
"""A request may wait for so many times of what it takes itself: eight callers with 1,000 documents each are none
either, though each waits for the others."""

_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log


@dataclass(frozen=True, slots=True)
class Scored:
    """Logits in the order of the request's rows, the seconds they waited and took, and what is left to do."""

    logits: tuple[float, ...]
    queue_s: float
    inference_s: float
    load: Load


class Scheduler:
    """Feeds one device. `submit` scores a slice; slices that are submitted together run as one batch."""

    def __init__(
        self,
        submit: Callable[[Slice], Awaitable[list[float]]],
        token_budget: int,
        at_once: int = 1,
        max_wait_s: float = math.inf,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`at_once`: batches on their way. With more than one, `submit` has to see to it that `taken` is called."""
        self._submit = submit
        self._at_once = at_once
        self._token_budget = token_budget
        self._max_wait_s = max_wait_s
        self._clock = clock
        self._queue = SliceQueue(token_budget)
        self._callers: dict[Work, asyncio.Future[None]] = {}
        self._feeding: asyncio.Task[None] | None = None
        self._pace = Pace(token_budget)
        self._arrivals = Arrivals()
        self._on_device = 0
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()
        self._alone = True

    def require_room(self, about_tokens: int) -> None:
        """Refuse a request of about so many tokens that would wait too long, before anything is done for it.

        Raises Overloaded. Only the crowd of its like counts, and what is smaller: a large one that has waited for long
        goes first for once, and is no reason to turn small ones away.
        """
        if len(self._callers) < ALWAYS_HELD or (pace := self._pace.tokens_per_s) is None:
            return
        now = self._clock()
        waits_s = (self._on_device + self._queue.crowd(about_tokens)) / pace
        most_s = max(self._max_wait_s, PATIENCE * about_tokens / pace)
        if waits_s > most_s:
            self._arrivals.add(about_tokens, now)  # that is demand as well
            later_s = min(LONGEST_RETRY_AFTER_S, waits_s - most_s)
            raise Overloaded(
                f"the request would wait about {waits_s:.1f} s for its turn: try again in {later_s:.1f} s",
                retry_after_s=later_s,
            )

    async def score(self, rows: Sequence[Row], timeout_s: float) -> Scored:
        """Score the rows of one request; raises Overloaded, DeadlineExceeded, EngineFailure.

        What could not be answered in time is refused before it waits. A caller that is cancelled takes its waiting
        slices along.
        """
        came = self._clock()
        slices = deque(cut(rows, self._token_budget))
        work = Work(slices, came, came + timeout_s, [math.nan] * len(rows), len(rows))
        tokens = work.tokens
        work.halved_every_s = halved_every(tokens, self._pace.tokens_per_s)
        self._arrivals.add(tokens, came)  # before it may be refused: that is demand as well
        self._require_time(work, timeout_s)
        self._callers[work] = asyncio.get_running_loop().create_future()
        self._queue.add(work)
        self._arrived.set()
        if self._feeding is None or self._feeding.done():
            self._feeding = asyncio.create_task(self._feed())
        try:
            await self._callers[work]
        finally:
            self._queue.drop(work)
            del self._callers[work]
        now = self._clock()
        waited = max(0.0, now - came - work.inference_s)  # batches that overlap count twice
        load = Load(tokens, self._on_device, self._queue.waiting(now), self._pace.tokens_per_s)
        return Scored(tuple(work.logits), waited, work.inference_s, load)

    def taken(self) -> bool:
        """The batch that was submitted last is complete: what is released now is another one.

        Returns whether it is alone: nothing else is computed, and nothing waits.
        """
        self._taken.set()
        return self._alone

    def demand(self) -> ReplicaDemand:
        """What is asked of it now."""
        tokens, requests = self._arrivals.per_s(self._clock())
        return ReplicaDemand(tokens, requests, self._queue.movable_tokens(), self._pace.tokens_per_s or 0.0)

    def _require_time(self, work: Work, timeout_s: float) -> None:
        if (pace := self._pace.tokens_per_s) is None:
            return
        takes_s = work.tokens / pace
        waits_s = (self._on_device + self._queue.ahead_of(work.tokens, work.came)) / pace
        if takes_s * SURE > timeout_s:
            raise DeadlineExceeded(
                f"the documents take about {takes_s:.1f} s to score, and {timeout_s:.1f} s are left: send fewer, or "
                "allow more time"
            )
        if (takes_s + waits_s) * SURE > timeout_s:
            later_s = min(LONGEST_RETRY_AFTER_S, takes_s + waits_s - timeout_s)
            raise Overloaded(
                f"the answer would take about {takes_s + waits_s:.1f} s, and {timeout_s:.1f} s are left: try again in "
                f"{later_s:.1f} s, or allow more time",
                retry_after_s=later_s,
            )

    async def _feed(self) -> None:
        running: set[asyncio.Task[None]] = set()
        while self._queue or running:
            self._arrived.clear()
            for late in self._queue.take_expired(self._clock()):
                self._fail(late, DeadlineExceeded("the answer was not ready in time: send fewer documents"))
            while len(running) < self._at_once and (released := self._queue.release(self._clock())):
                self._taken.clear()
                self._alone = not running and not self._queue
                running.add(batch := asyncio.create_task(self._run(released)))
                if len(running) < self._at_once:  # slices that are submitted before would become a part of that batch
                    await _first(self._taken, {batch})
            if len(running) == self._at_once:
                await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            elif running:
                await _first(self._arrived, running)
            for batch in [batch for batch in running if batch.done()]:
                running.remove(batch)
                batch.result()

    async def _run(self, released: list[tuple[Work, Slice]]) -> None:
        began = self._clock()
        tokens = sum(part.tokens for _, part in released)
        self._on_device += tokens
        submitted = (self._submit(part) for _, part in released)
        outcomes = await asyncio.gather(*submitted, return_exceptions=True)
        ended = self._clock()
        self._on_device -= tokens
        self._pace.count(tokens, began, ended)
        took = ended - began
        for work in {work for work, _ in released}:
            work.inference_s += took
        for (work, part), outcome in zip(released, outcomes, strict=True):
            if isinstance(outcome, RerankError):
                self._fail(work, outcome)
            elif isinstance(outcome, BaseException):
                _log.error("a batch failed", exc_info=outcome)
                self._fail(work, EngineFailure("scoring failed inside the engine; its log says why"))
            elif not all(map(math.isfinite, outcome)):
                self._fail(work, EngineFailure("the model gave a score that is not finite for one of the documents"))
            else:
                self._settle(work, part, outcome)

    def _settle(self, work: Work, part: Slice, logits: list[float]) -> None:
        for place, logit in zip(part.places, logits, strict=True):
            work.logits[place] = logit
        work.unscored -= len(logits)
        caller = self._callers.get(work)
        if caller is not None and not caller.done() and not work.unscored:
            caller.set_result(None)

    def _fail(self, work: Work, error: RerankError) -> None:
        self._queue.drop(work)
        caller = self._callers.get(work)
        if caller is not None and not caller.done():
            caller.set_exception(error)


async def _first(event: asyncio.Event, tasks: set[asyncio.Task[None]]) -> None:
    """Returns when it has happened, or one of the tasks is done."""
    happened = asyncio.create_task(event.wait())
    await asyncio.wait({happened, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    happened.cancel()
