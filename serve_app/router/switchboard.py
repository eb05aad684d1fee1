"""The routes as one router has them, and what its lanes do: noted request by request, told to the desk twice a second.

It knows neither what a lane scores nor where the desk is.
"""

import asyncio
import logging
from collections import defaultdict
from typing import Protocol
from uuid import uuid4

from serve_app.catalog import Catalog
from serve_app.errors import SERVER_FAULT, RerankError, RoutesUnavailable
from serve_app.metrics import (
    AGREEMENT_FIRST,
    AGREEMENT_OVERLAP,
    AGREEMENT_SAME_WAY,
    ANSWER_MS,
    ANSWERS,
    DOCUMENTS,
    SHADOW_MS,
    SHADOWS,
    Meter,
)
from serve_app.router.agreement import Agreement
from serve_app.router.book import Book
from serve_app.router.ranking import Choice
from serve_app.router.reports import Disagreement, LaneName, Report, Sight
from serve_app.router.tally import Tally
from serve_app.routes import DEFAULT, Route, RouteTable

REPORT_EVERY_S = 0.5
"""How old a router's routes can be."""
DISAGREEMENT = 0.5
"""Orders of a lower tau are told to the desk, the worst few of them."""
TOLD_AT_ONCE = 5
_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log


class DeskLike(Protocol):
    """The desk, wherever it is."""

    async def declare(self, table: RouteTable) -> Book:
        """What the configuration says."""
        ...

    async def offer(self, book: Book) -> Book:
        """A book that may be newer than the desk's; the newer one comes back."""
        ...

    async def report(self, report: Report, version: int) -> Book | None:
        """What lanes did; the book, unless it is of this version."""
        ...

    async def settled(self, version: int, but: str) -> None:
        """Returns when all routers but one have this version."""
        ...

    async def put(self, route: Route, version: int | None, who: str, what: str) -> Book:
        """A route from now on; the book after it."""
        ...

    async def remove(self, name: str, version: int | None, who: str) -> Book:
        """No such route from now on; the book after it."""
        ...

    async def undo(self, version: int | None, who: str) -> Book:
        """The last change taken back; the book after it."""
        ...

    async def sight(self) -> Sight:
        """All there is to see."""
        ...

    async def disagreements(self, route: str) -> list[Disagreement]:
        """The worst of a route."""
        ...


class Switchboard:
    """What holds now for this router's requests."""

    def __init__(self, catalog: Catalog, meter: Meter) -> None:
        self.book = Book()
        self.name = uuid4().hex
        """Of this router, for the desk."""
        self._catalog = catalog
        self._meter = meter
        self._lanes: defaultdict[LaneName, Tally] = defaultdict(Tally)
        self._shadows: defaultdict[LaneName, Tally] = defaultdict(Tally)
        self._disagreements: list[Disagreement] = []

    def route(self, name: str | None) -> Route | None:
        """The route of this name, in any letter case; with no name, the one that answers when none is named."""
        return self.book.table.routes.get(DEFAULT if name is None else name.strip().casefold())

    def take(self, book: Book) -> None:
        """A book holds from now on, unless it is older than the one at hand, or of another catalog."""
        if book.version < self.book.version:
            return
        try:
            book.table.checked(self._catalog)
        except ValueError as error:
            _log.error("the routes stay as they are, for version %d is not of this catalog: %s", book.version, error)
            return
        self.book = book

    def answered(self, choice: Choice, milliseconds: float, documents: int) -> None:
        """A variant or cascade answered a request, as the lane of a route or by itself."""
        variant = choice.variant.name
        if choice.route is not None and choice.lane is not None:
            self._lanes[choice.route.name, variant].answered(milliseconds)
        tags = {"route": _name(choice.route), "variant": variant}
        self._meter.count(ANSWERS, 1, **tags, outcome="ok")
        self._meter.count(DOCUMENTS, documents, variant=variant)
        self._meter.observe(ANSWER_MS, milliseconds, **tags)

    def failed(self, choice: Choice, error: RerankError) -> None:
        """It could not answer a request: a lane's failure where the fault is not the request's."""
        variant = choice.variant.name
        if choice.route is not None and choice.lane is not None and error.status >= SERVER_FAULT:
            self._lanes[choice.route.name, variant].failed()
        self._meter.count(ANSWERS, 1, route=_name(choice.route), variant=variant, outcome=error.code)

    def shadowed(self, route: Route, variant: str, milliseconds: float) -> None:
        """A shadow scored a copy of a request."""
        self._shadows[route.name, variant].answered(milliseconds)
        self._meter.count(SHADOWS, 1, route=route.name, variant=variant, outcome="ok")
        self._meter.observe(SHADOW_MS, milliseconds, route=route.name, variant=variant)

    def missed(self, route: Route, variant: str, outcome: str) -> None:
        """A shadow failed, or was dropped."""
        if outcome != "dropped":
            self._shadows[route.name, variant].failed()
        self._meter.count(SHADOWS, 1, route=route.name, variant=variant, outcome=outcome)

    def agreed(self, route: Route, answered: str, other: str, found: Agreement) -> None:
        """The order of a lane's answer was compared with another variant's.

        It counts for the one that is on trial: the canary that is compared with its baseline, or else the shadow.
        """
        canary = route.canary
        if canary is not None and (answered, other) == (canary.variant, route.baseline.variant):
            self._lanes[route.name, answered].agreed(found.tau)
        else:
            self._shadows[route.name, other].agreed(found.tau)
        tags = {"route": route.name, "variant": answered, "other": other}
        self._meter.count(AGREEMENT_SAME_WAY, (1 + found.tau) / 2, **tags)
        self._meter.observe(AGREEMENT_OVERLAP, found.overlap, **tags)
        self._meter.count(AGREEMENT_FIRST, 1, **tags, same="yes" if found.same_first else "no")

    def disagreed(self, disagreement: Disagreement) -> None:
        """Keep it until the next report, if it is among the worst."""
        self._disagreements.append(disagreement)
        self._disagreements.sort(key=lambda each: each.tau)
        del self._disagreements[TOLD_AT_ONCE:]

    async def exchange(self, desk: DeskLike) -> None:
        """Tell the desk what the lanes did, and take its book when that is another; raises RoutesUnavailable.

        What could not be told is forgotten: guards judge by many windows.
        """
        told = Report(self.name, dict(self._lanes), dict(self._shadows), tuple(self._disagreements))
        self._lanes.clear()
        self._shadows.clear()
        self._disagreements.clear()
        book = await desk.report(told, self.book.version)
        if book is not None and book.version < self.book.version:
            book = await desk.offer(self.book)  # a new desk, which knows nothing yet
        if book is not None:
            self.take(book)

    async def run(self, desk: DeskLike) -> None:
        """Exchange with the desk until cancelled; while it does not answer, the routes stay as they are."""
        away = False
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            try:
                await self.exchange(desk)
                away = False
            except RoutesUnavailable as error:
                if not away:
                    _log.warning("the routes stay as they are: %s", error)
                away = True


def _name(route: Route | None) -> str:
    return "" if route is None else route.name
