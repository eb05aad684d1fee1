"""Scores copies of requests beside the answer, and compares the orders: answers come in, figures go to the switchboard.

Bounded, and the first thing that is dropped when there is much to do. It knows no route's rules: `traffic` says which
shadows follow a request.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from serve_app.catalog import Served
from serve_app.errors import RerankError, RetryLater
from serve_app.router.agreement import Agreement, compare
from serve_app.router.ranking import RerankRequest
from serve_app.router.reports import Disagreement
from serve_app.router.switchboard import DISAGREEMENT, Switchboard
from serve_app.routes import Route

MOST_AT_ONCE = 8
MOST_DOCUMENTS_AT_ONCE = 4_000
"""What one router has its shadows score at a time: beyond it copies are dropped."""
MOST_PREDICTED_MS = 2_000.0
"""A variant that would take longer has enough to do."""
SHOWN_CHARACTERS = 200
SHOWN_DOCUMENTS = 3
DROPPED = "dropped"
_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log

Order = Sequence[int]
"""Places of the documents in the request, best first."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A request of a route, and the order that its caller got, all documents in it."""

    route: Route
    variant: str
    request: RerankRequest
    order: Order


class Shadows:
    """The copies that one router has scored at this moment."""

    def __init__(
        self,
        score: Callable[[Served, RerankRequest], Awaitable[Order]],
        predicted_ms: Callable[[Served, RerankRequest], float],
        switchboard: Switchboard,
    ) -> None:
        self._score = score
        self._predicted_ms = predicted_ms
        self._switchboard = switchboard
        self._running: dict[asyncio.Task[None], int] = {}

    def follow(self, answered: Answered, served: Served) -> None:
        """Have the variant or cascade score a copy of the request, unless there is too much to do; returns at once."""
        documents = len(answered.request.asked.documents)
        full = len(self._running) >= MOST_AT_ONCE or sum(self._running.values()) + documents > MOST_DOCUMENTS_AT_ONCE
        if full or self._predicted_ms(served, answered.request) > MOST_PREDICTED_MS:
            self._switchboard.missed(answered.route, served.name, DROPPED)
            return
        task = asyncio.create_task(self._scored(answered, served))
        self._running[task] = documents
        task.add_done_callback(self._ended)

    async def close(self) -> None:
        """Stop those that run."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _scored(self, answered: Answered, served: Served) -> None:
        began = time.monotonic()
        try:
            order = await self._score(served, answered.request)
        except RetryLater:
            self._switchboard.missed(answered.route, served.name, DROPPED)
            return
        except RerankError as error:
            self._switchboard.missed(answered.route, served.name, error.code)
            return
        self._switchboard.shadowed(answered.route, served.name, 1_000 * (time.monotonic() - began))
        found = compare(answered.order, order)
        self._switchboard.agreed(answered.route, answered.variant, served.name, found)
        if found.tau < DISAGREEMENT:
            self._switchboard.disagreed(_disagreement(answered, served.name, order, found))

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a shadow failed unexpectedly", exc_info=error)


def _disagreement(answered: Answered, other: str, order: Order, found: Agreement) -> Disagreement:
    asked = answered.request.asked

    def first(places: Order) -> tuple[str, ...]:
        return tuple(asked.documents[place][:SHOWN_CHARACTERS] for place in places[:SHOWN_DOCUMENTS])

    return Disagreement(
        answered.route.name,
        answered.request.request_id,
        answered.variant,
        other,
        found.tau,
        asked.queries[0][:SHOWN_CHARACTERS],
        first(answered.order),
        first(order),
    )
