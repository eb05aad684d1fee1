"""The desk: the one place that holds the book of routes, pools what all routers report, and judges canaries.

Changes and reports come in, the book goes out. It is an object in the router where there is one router, and a
deployment of its own where there are several. A book that is newer than its own is taken over: from a router when the
desk was lost, from the store when the whole service was. It scores nothing and answers no client.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Protocol

from serve_app.errors import InvalidRequest, NoSuchRoute, RoutesChanged, RoutesUnavailable
from serve_app.metrics import CANARIES_ABORTED, ROUTES_VERSION, Meter
from serve_app.router.book import Book
from serve_app.router.guard import Guard
from serve_app.router.reports import Disagreement, LaneName, Report, Sight
from serve_app.router.tally import Tally
from serve_app.routes import Lane, Route, RouteTable

WINDOW_S = 1.0
"""How often canaries are judged, and the store is looked into."""
GONE_S = 3.0
"""A router that was not heard of for so long is none any more: each reports twice a second."""
LOOK_EVERY_S = 0.05
WORST_KEPT = 20
"""Disagreements of a route that can be read."""
BY_GUARD = "guard"
_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log


class Store(Protocol):
    """Where a book outlives the service. Every method raises RoutesUnavailable."""

    async def newer(self, version: int) -> Book | None:
        """What is kept there, if it is newer than this version."""

    async def keep(self, book: Book) -> bool:
        """Keep this one; False where one of its version or a newer one is there already."""


class Desk:
    """The book, and what came of it."""

    def __init__(self, store: Store | None, meter: Meter, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._meter = meter
        self._clock = clock
        self._book = Book()
        self._changing = asyncio.Lock()
        self._kept = True
        """Whether the store has the book."""
        self._judged = clock()
        self._window: defaultdict[LaneName, Tally] = defaultdict(Tally)
        self._lanes: defaultdict[LaneName, Tally] = defaultdict(Tally)
        self._shadows: defaultdict[LaneName, Tally] = defaultdict(Tally)
        self._guards: dict[LaneName, Guard] = {}
        self._worst: defaultdict[str, list[Disagreement]] = defaultdict(list)
        self._routers: dict[str, tuple[int, float]] = {}
        """The version that each has, and when it was heard of."""

    async def declare(self, table: RouteTable) -> Book:
        """What the configuration says: a change when it did not say so before."""
        async with self._changing:
            await self._look()
            book = self._book.declaring(table, self._clock())
            return self._book if book is self._book else await self._keep(book)

    async def offer(self, book: Book) -> Book:
        """A router's book, which is taken over when it is newer."""
        if book.version > self._book.version:
            self._take(book)
            self._kept = self._store is None
        return self._book

    async def report(self, report: Report, version: int) -> Book | None:
        """What a router's lanes did; the book, unless it is of this version."""
        for pooled, told in (
            (self._window, report.lanes),
            (self._lanes, report.lanes),
            (self._shadows, report.shadows),
        ):
            for name, tally in told.items():
                pooled[name] += tally
        self._remember(report.disagreements)
        if self._clock() - self._judged >= WINDOW_S:
            self._judged = self._clock()
            self._meter.set(ROUTES_VERSION, self._book.version)  # Ray 2.60 forgets a gauge that is not told again
            async with self._changing:
                await self._look()
                await self._judge()
        self._routers[report.router] = self._book.version, self._clock()
        return None if self._book.version == version else self._book

    async def settled(self, version: int, but: str) -> None:
        """Returns when all routers but one have this version; at the latest when those that have not are gone."""
        while any(known < version for name, (known, _) in self._routers.items() if name != but):
            await asyncio.sleep(LOOK_EVERY_S)
            here = self._clock() - GONE_S
            self._routers = {name: (known, seen) for name, (known, seen) in self._routers.items() if seen > here}

    async def put(self, route: Route, version: int | None, who: str, what: str) -> Book:
        """The route in the place of one of its name; raises RoutesChanged unless the book is of this version."""
        async with self._changing:
            self._require(version)
            return await self._change(self._book.table.with_route(route), who, what)

    async def remove(self, name: str, version: int | None, who: str) -> Book:
        """No route of this name any more; raises RoutesChanged, NoSuchRoute."""
        async with self._changing:
            self._require(version)
            if name not in self._book.table.routes:
                raise NoSuchRoute(f"there is no route {name!r}")
            return await self._change(self._book.table.without(name), who, f"{name}: removed")

    async def undo(self, version: int | None, who: str) -> Book:
        """The last change taken back; raises RoutesChanged, InvalidRequest where there is none."""
        async with self._changing:
            self._require(version)
            try:
                book = self._book.undone(who, self._clock())
            except ValueError as error:
                raise InvalidRequest(str(error)) from None
            return await self._keep(book)

    async def sight(self) -> Sight:
        """All there is to see of the routes."""
        evidence = {
            route: {str(limit): found for limit, found in guard.evidence.items()}
            for (route, _), guard in self._guards.items()
        }
        return Sight(self._book, dict(self._lanes), dict(self._shadows), evidence)

    async def disagreements(self, route: str) -> list[Disagreement]:
        """The worst of a route since it was changed, the worst first."""
        return list(self._worst.get(route, []))

    def _require(self, version: int | None) -> None:
        if version is not None and version != (now := self._book.version):
            raise RoutesChanged(f"the routes are at version {now} and not {version} any more: look, and try again")

    async def _change(self, table: RouteTable, who: str, what: str) -> Book:
        return await self._keep(self._book.changed(table, who, what, self._clock()))

    async def _keep(self, book: Book) -> Book:
        """The book holds from now on; without the store for the time being, which gets it when it is back."""
        change = book.changes[-1]
        try:
            self._kept = self._store is None or await self._store.keep(book)
        except RoutesUnavailable as error:
            self._kept = False
            _log.warning("version %d of the routes is not kept yet: %s", book.version, error)
        else:
            if not self._kept:
                await self._look()
                raise RoutesChanged("the routes were changed elsewhere at the same moment: look at them, and try again")
        self._take(book)
        _log.info("routes, version %d, by %s: %s", change.version, change.who, change.what)
        return book

    def _take(self, book: Book) -> None:
        before, self._book = self._book.table.routes, book
        routes = book.table.routes
        for name in {*before, *routes}:
            if before.get(name) != routes.get(name):
                self._forget(name)
        judged = {(route.name, lane.variant): lane for route in routes.values() for lane in _judged(route)}
        self._guards = {
            name: self._guards[name] if self._judges(name, lane) else Guard(lane.guard)
            for name, lane in judged.items()
            if lane.guard is not None
        }
        self._meter.set(ROUTES_VERSION, book.version)

    def _judges(self, name: LaneName, lane: Lane) -> bool:
        return name in self._guards and self._guards[name].limits == lane.guard

    def _forget(self, route: str) -> None:
        for pooled in (self._window, self._lanes, self._shadows):
            for name in [name for name in pooled if name[0] == route]:
                del pooled[name]
        self._worst.pop(route, None)

    def _remember(self, disagreements: Iterable[Disagreement]) -> None:
        for each in disagreements:
            worst = self._worst[each.route]
            worst.append(each)
            worst.sort(key=lambda one: one.tau)
            del worst[WORST_KEPT:]

    async def _look(self) -> None:
        """Take over what another service has kept, and keep what is not kept yet."""
        if self._store is None:
            return
        try:
            if (newer := await self._store.newer(self._book.version)) is not None:
                self._take(newer)
                self._kept = True
            elif not self._kept:
                self._kept = await self._store.keep(self._book)
        except RoutesUnavailable as error:
            _log.warning("the routes stay as they were: %s", error)

    async def _judge(self) -> None:
        window, self._window = self._window, defaultdict(Tally)
        for route, variant in list(self._guards):
            held = self._book.table.routes[route]
            breach = self._guards[route, variant].observe(window[route, variant], window[route, held.baseline.variant])
            if breach is not None:
                what = f"{route}: canary {variant} aborted: {breach.sentence}"
                _log.warning("routes: %s", what)
                self._meter.count(CANARIES_ABORTED, 1, route=route, variant=variant, limit=breach.limit)
                with suppress(RoutesChanged):  # then the next window judges what the routes are by now
                    await self._change(self._book.table.with_route(held.aborted()), BY_GUARD, what)


def _judged(route: Route) -> Iterable[Lane]:
    return [route.canary] if route.canary is not None and route.canary.weight else []
