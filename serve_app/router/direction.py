"""Which variant or cascade answers a request of a route. Pure: a route and a request in, a choice with its reason out.

It knows which lane, and what answers in a canary's place. What its ladder steps down to is chosen by `selection`.
"""

from collections.abc import Sequence
from dataclasses import replace

from serve_app.catalog import Catalog
from serve_app.errors import SERVER_FAULT, DeadlineExceeded, Forbidden, InvalidRequest, RerankError
from serve_app.router.ranking import Bounds, Choice, RerankRequest, Wish
from serve_app.router.selection import Candidate, choose
from serve_app.router.traffic import key_of, lane_of
from serve_app.routes import TIER_PREFIX, Lane, Route


def to_lane(catalog: Catalog, route: Route, request: RerankRequest) -> Choice:
    """The lane that the request's key leads to, or the one that it asks for; raises Forbidden, InvalidRequest."""
    if request.lane is not None:
        return _choice(catalog, route, _asked_for(catalog, route, request), "its lane was asked for")
    asked = request.asked
    lane = lane_of(route, key_of(route, asked.user, request.caller.key, asked.queries[0]))
    what = "canary with" if lane.guard else "lane with"
    choice = _choice(catalog, route, lane, f"{what} {route.share(lane):.1%} of the requests")
    return replace(choice, warnings=_warnings(route, asked.bounds))


def to_rungs(catalog: Catalog, first: Choice, route: Route, candidates: Sequence[Candidate]) -> list[Choice]:
    """The lane's choice, then what the route's ladder has in its place."""
    lower = (choose(catalog, Wish(rung), _ready_first(rung, candidates)) for rung in route.ladder)
    return [first, *(_stepped(choice, route) for choice in lower)]


def instead_of(catalog: Catalog, choice: Choice, error: RerankError) -> Choice | None:
    """The baseline, where a canary failed by a fault of its own and there is time left; None where nothing helps."""
    route, lane = choice.route, choice.lane
    if route is None or lane is None or lane.guard is None:
        return None
    if error.status < SERVER_FAULT or isinstance(error, DeadlineExceeded):
        return None
    return _choice(catalog, route, route.baseline, f"in the place of the canary {lane.variant}, which failed")


def _stepped(choice: Choice, route: Route) -> Choice:
    because = f"route {route.name}, stepped down to keep {route.target_ms:g} ms: {choice.because}"
    return replace(choice, because=because, wished=True, degraded=True, route=route)


def _asked_for(catalog: Catalog, route: Route, request: RerankRequest) -> Lane:
    if not request.caller.may_choose_lane:
        raise Forbidden("this key may not say which lane answers: its scopes lack `lanes`")
    served = catalog.find((request.lane or "").strip())
    lane = next((lane for lane in route.lanes if served is not None and lane.variant == served.name), None)
    if lane is None:
        lanes = ", ".join(lane.variant for lane in route.lanes)
        raise InvalidRequest(f"the route {route.name} has no such lane; its lanes are {lanes}", "x-rerank-lane")
    return lane


def _ready_first(rung: str, candidates: Sequence[Candidate]) -> Sequence[Candidate]:
    """Of a tier those that are ready, where any is: under overload there is no time to start one."""
    ready = [each for each in candidates if each.ready and each.variant.tier == rung.removeprefix(TIER_PREFIX)]
    return ready or candidates


def _choice(catalog: Catalog, route: Route, lane: Lane, because: str) -> Choice:
    return Choice(catalog.named(lane.variant), f"route {route.name}: {because}", route=route, lane=lane)


def _warnings(route: Route, bounds: Bounds) -> tuple[str, ...]:
    if not (given := bounds.given()):
        return ()
    return (
        f"{' and '.join(given)} not considered: the route {route.name} was named; say `auto` to have a variant chosen",
    )
