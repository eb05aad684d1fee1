"""The paths of operators: routes are looked at, changed and changed back. The use case is `office`."""

from typing import Any

from fastapi import FastAPI, Request

from serve_app.errors import InvalidRequest
from serve_app.router.caller import Caller
from serve_app.router.dialect import parse, validated
from serve_app.router.dialects import routing
from serve_app.router.intake import Intake
from serve_app.router.keys import Keys
from serve_app.router.office import RouteOffice
from serve_app.router.openapi import failures
from serve_app.routes import Route

VERSION_HEADER = "if-match"


class _Desk:
    def __init__(self, office: RouteOffice, keys: Keys, intake: Intake) -> None:
        self._office = office
        self._keys = keys
        self._intake = intake

    async def show(self, request: Request) -> routing.RoutesReply:
        """All routes with what their lanes did since they were changed, and the last changes."""
        return routing.describe(await self._office.sight(self._caller(request)))

    async def put(self, request: Request, name: str) -> routing.ChangedReply:
        """Make or change a route. With `If-Match: VERSION` only if nothing was changed since that version."""
        caller = self._caller(request)
        async with self._intake.body(request) as content:
            route = validated(Route, {**parse(content), "name": name})
        return routing.describe_change(await self._office.put(route, _version(request), caller))

    async def remove(self, request: Request, name: str) -> routing.ChangedReply:
        """Remove a route. With `If-Match: VERSION` only if nothing was changed since that version."""
        return routing.describe_change(await self._office.remove(name, _version(request), self._caller(request)))

    async def undo(self, request: Request) -> routing.ChangedReply:
        """Take the last change back; once more, the one before it."""
        return routing.describe_change(await self._office.undo(_version(request), self._caller(request)))

    async def disagreements(self, request: Request, name: str) -> routing.DisagreementsReply:
        """Requests whose documents a shadow, or a canary's baseline, ordered most otherwise than the answer."""
        found = await self._office.disagreements(name, self._caller(request))
        return routing.describe_disagreements(found)

    def _caller(self, request: Request) -> Caller:
        return self._keys.caller(request.headers.get("authorization"))


def add_admin(api: FastAPI, office: RouteOffice, keys: Keys, intake: Intake) -> None:
    """The paths under /admin."""
    desk = _Desk(office, keys, intake)
    refused: dict[str, Any] = {"tags": ["admin"]}
    api.get("/admin/routes", **refused, responses=failures(401, 403, 503))(desk.show)
    changes = failures(400, 401, 403, 404, 409, 413, 422, 429, 500, 503, 504)
    api.put("/admin/routes/{name}", **refused, responses=changes)(desk.put)
    api.delete("/admin/routes/{name}", **refused, responses=failures(401, 403, 404, 409, 422, 503))(desk.remove)
    api.post("/admin/routes/undo", **refused, responses=failures(401, 403, 409, 422, 503))(desk.undo)
    api.get("/admin/routes/{name}/disagreements", **refused, responses=failures(401, 403, 404, 503))(desk.disagreements)


def _version(request: Request) -> int | None:
    """The version that a change is meant for, as an entity tag or as it is."""
    given = request.headers.get(VERSION_HEADER)
    if given is None or given.strip() == "*":
        return None
    text = given.strip().removeprefix("W/").strip('"')
    if not text.isdecimal():
        raise InvalidRequest("If-Match is no version of the routes: GET /admin/routes tells it", "If-Match")
    return int(text)
