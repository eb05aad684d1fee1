"""The use case of operators: look at routes, change them, take a change back. It knows no wire format and no Ray.

A change is checked against the catalog, and what it brings in has to score a document, before the desk gets it: so
traffic never moves to what cannot answer. When a change is answered, all routers have it.
"""

from collections.abc import Awaitable, Callable

from pydantic import ValidationError

from serve_app.catalog import Catalog, Served
from serve_app.errors import (
    EngineFailure,
    Forbidden,
    InvalidRequest,
    NoSuchRoute,
    ScorerLost,
    WeightsInvalid,
    WeightsUnavailable,
)
from serve_app.router.book import Book
from serve_app.router.caller import Caller
from serve_app.router.dialect import first_problem
from serve_app.router.reports import Disagreement, Sight
from serve_app.router.switchboard import DeskLike, Switchboard
from serve_app.routes import Route


class RouteOffice:
    """Routes as the keys with the scope `admin` see and change them."""

    def __init__(
        self, catalog: Catalog, switchboard: Switchboard, desk: DeskLike, prove: Callable[[Served], Awaitable[None]]
    ) -> None:
        self._catalog = catalog
        self._switchboard = switchboard
        self._desk = desk
        self._prove = prove

    async def sight(self, caller: Caller) -> Sight:
        """All routes, and what their lanes did since they were changed."""
        _require_admin(caller)
        await self._switchboard.exchange(self._desk)  # so that this router's last requests are in it
        return await self._desk.sight()

    async def put(self, route: Route, version: int | None, caller: Caller) -> Book:
        """The route from now on; raises InvalidRequest, and RoutesChanged unless the book is of this version."""
        _require_admin(caller)
        route = self._checked(route)
        before = self._switchboard.book.table.routes.get(route.name)
        for name in _brought_in(route) - (_brought_in(before) if before else set()):
            await self._require_able(route, name)
        return await self._settled(await self._desk.put(route, version, caller.key, str(route)))

    async def remove(self, name: str, version: int | None, caller: Caller) -> Book:
        """No such route from now on; raises NoSuchRoute, RoutesChanged."""
        _require_admin(caller)
        return await self._settled(await self._desk.remove(name, version, caller.key))

    async def undo(self, version: int | None, caller: Caller) -> Book:
        """The last change taken back; raises InvalidRequest where there is none, RoutesChanged."""
        _require_admin(caller)
        return await self._settled(await self._desk.undo(version, caller.key))

    async def disagreements(self, name: str, caller: Caller) -> list[Disagreement]:
        """The worst of a route, the worst first; raises NoSuchRoute."""
        _require_admin(caller)
        await self._switchboard.exchange(self._desk)
        if self._switchboard.route(name) is None:
            raise NoSuchRoute(f"there is no route {name[:100]!r}; GET /admin/routes lists them")
        return await self._desk.disagreements(name)

    def _checked(self, route: Route) -> Route:
        try:
            return self._switchboard.book.table.with_route(route).checked(self._catalog).routes[route.name]
        except ValidationError as error:
            raise first_problem(error) from None
        except ValueError as error:
            raise InvalidRequest(str(error)) from None

    async def _require_able(self, route: Route, name: str) -> None:
        try:
            await self._prove(self._catalog.named(name))
        except (WeightsUnavailable, WeightsInvalid, ScorerLost, EngineFailure) as error:
            raise InvalidRequest(f"{name} cannot be a lane of {route.name}: {error}", "lanes") from None

    async def _settled(self, book: Book) -> Book:
        """The book, once every router has it: who has made a route and asks it at once may come to another router."""
        self._switchboard.take(book)
        await self._desk.settled(book.version, but=self._switchboard.name)
        return book


def _require_admin(caller: Caller) -> None:
    if not caller.admin:
        raise Forbidden("this key may not see or change routes: its scopes lack `admin`")


def _brought_in(route: Route) -> set[str]:
    """What is to score for it."""
    return {lane.variant for lane in route.lanes if lane.weight} | {shadow.variant for shadow in route.shadows}
