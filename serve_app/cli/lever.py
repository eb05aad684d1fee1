"""The lever of a rollout on a running service: what the admin API tells goes out as vitals, moves come in."""

from collections.abc import Callable, Mapping
from typing import Any

from serve_app.cli.client import ServiceClient, ServiceError
from serve_app.cli.routes import found_in, route_of
from serve_app.cluster.rollout import Standing, Vitals
from serve_app.routes import GuardLimits, Route

BY_GUARD = "guard"


class ServiceLever:
    """Moves one canary of one route."""

    look_every_s = 1.0

    def __init__(self, client: ServiceClient, route: str, variant: str, limits: GuardLimits) -> None:
        """`variant` is any of its names; raises ServiceError when the service has no such one."""
        self.route = route
        self.variant = client.short_name(variant)
        self._client = client
        self._limits = limits

    def standing(self) -> Standing | None:
        """The canary that the route has; raises ServiceError when there is no such route."""
        route = route_of(self._client.routes(), self.route)
        if route.canary is None:
            return None
        return Standing(route.canary.variant, 100 * route.share(route.canary))

    def look(self) -> Vitals:
        """See Lever."""
        shown = self._client.routes()
        route, lanes = route_of(shown, self.route), found_in(shown, self.route)["lanes"]
        own = next((lane for lane in lanes if lane["variant"] == self.variant and lane["canary"]), None)
        if own is None:
            return Vitals(0.0)
        baseline = next(lane for lane in lanes if lane["variant"] == route.baseline.variant)
        return Vitals(
            100 * own["share"],
            own["requests"],
            own["failures"],
            own["p50_ms"],
            own["p99_ms"],
            baseline["failures"] / max(1, baseline["requests"]),
            baseline["p50_ms"],
            baseline["p99_ms"],
            own["mean_tau"],
            None if own["share"] else _guards_words(shown),
        )

    def move(self, percent: float) -> None:
        """See Lever."""
        self._put(lambda route: route.with_canary(self.variant, percent, self._limits))

    def promote(self) -> None:
        """See Lever."""
        self._put(Route.promoted)

    def abort(self) -> None:
        """See Lever."""
        self._put(Route.aborted)

    def _put(self, move: Callable[[Route], Route]) -> None:
        shown = self._client.routes()
        try:
            moved = move(route_of(shown, self.route))
        except ValueError as error:
            raise ServiceError(str(error)) from None
        self._client.put_route(self.route, moved.terms.model_dump(mode="json"), shown["version"])


def _guards_words(shown: Mapping[str, Any]) -> str | None:
    last = shown["changes"][0] if shown["changes"] else None
    return str(last["what"]) if last is not None and last["who"] == BY_GUARD else None
