"""The desk as a deployment of its own, for several routers: calls go through a Ray handle, failures become ours."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import RayServeException
from ray.serve.handle import DeploymentHandle

from serve_app.errors import RerankError, RoutesUnavailable
from serve_app.router.book import Book
from serve_app.router.reports import Disagreement, Report, Sight
from serve_app.routes import Route, RouteTable

WITHIN_S = 10.0
"""Longer than its own waiting for a Redis that does not answer."""
STARTS_WITHIN_S = 120.0
Told = TypeVar("Told")


class RayDesk:
    """What a router has of the desk; every method raises RoutesUnavailable beside the desk's own errors."""

    def __init__(self, handle: DeploymentHandle[Any]) -> None:
        self._handle = handle

    async def declare(self, table: RouteTable) -> Book:
        """Waits for the desk, which starts when the routers do."""
        return await _told(self._handle.declare.remote(table), STARTS_WITHIN_S)

    async def offer(self, book: Book) -> Book:
        """See Desk."""
        return await _told(self._handle.offer.remote(book))

    async def report(self, report: Report, version: int) -> Book | None:
        """See Desk."""
        return await _told(self._handle.report.remote(report, version))

    async def settled(self, version: int, but: str) -> None:
        """See Desk."""
        await _told(self._handle.settled.remote(version, but))

    async def put(self, route: Route, version: int | None, who: str, what: str) -> Book:
        """See Desk."""
        return await _told(self._handle.put.remote(route, version, who, what))

    async def remove(self, name: str, version: int | None, who: str) -> Book:
        """See Desk."""
        return await _told(self._handle.remove.remote(name, version, who))

    async def undo(self, version: int | None, who: str) -> Book:
        """See Desk."""
        return await _told(self._handle.undo.remote(version, who))

    async def sight(self) -> Sight:
        """See Desk."""
        return await _told(self._handle.sight.remote())

    async def disagreements(self, route: str) -> list[Disagreement]:
        """See Desk."""
        return await _told(self._handle.disagreements.remote(route))


async def _told(response: Awaitable[Told], within_s: float = WITHIN_S) -> Told:
    try:
        async with asyncio.timeout(within_s):
            return await response
    except RayTaskError as error:
        if isinstance(error.cause, RerankError):
            raise error.cause from None
        raise
    except (TimeoutError, RayActorError, RayServeException) as error:
        raise RoutesUnavailable("what holds the routes does not answer now: try again") from error
