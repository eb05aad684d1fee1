"""What answers a request: the pure policies, asked with what is known at this moment.

A wish and its caller come in, a choice goes out. It knows what variants can do now and are predicted to take; it scores
nothing, and counts nothing.
"""

import time
from collections.abc import Sequence

from serve_app.catalog import Catalog, Served
from serve_app.errors import Forbidden, InvalidRequest
from serve_app.router.brownout import Brownout
from serve_app.router.caller import EVERYBODY, Caller
from serve_app.router.cascade import steps
from serve_app.router.direction import to_lane, to_rungs
from serve_app.router.prediction import Extent, Predictor
from serve_app.router.ranking import WHOLE, Choice, RerankRequest, Wish
from serve_app.router.roll_call import RollCall
from serve_app.router.selection import Candidate, choose, is_open, needs_candidates
from serve_app.router.switchboard import Switchboard
from serve_app.routes import Route

NO_TEXT = Extent((), 0, 0, WHOLE)
"""Of a question about a model, for which nothing is scored."""


class Chooser:
    """Chooses for one router."""

    def __init__(self, catalog: Catalog, switchboard: Switchboard, roll_call: RollCall) -> None:
        self.predictor = Predictor(time.monotonic)
        self._catalog = catalog
        self._switchboard = switchboard
        self._roll_call = roll_call
        self._brownout = Brownout(time.monotonic)

    async def choose(self, wish: Wish, caller: Caller, extent: Extent = NO_TEXT) -> Choice:
        """What a wish leads to; a route, to its baseline."""
        if opened := is_open(wish):
            wish = Wish(caller.default_model)
        if (opened or wish.model is not None) and (route := self._switchboard.route(wish.model)) is not None:
            self._require_route(caller, route)
            return Choice(self._catalog.named(route.baseline.variant), f"route {route.name}", route=route)
        candidates = await self._candidates(caller, extent) if needs_candidates(wish) else ()
        choice = choose(self._catalog, wish, candidates)
        if not self.may_use(caller, choice.variant):
            raise Forbidden(f"this key may not use {choice.variant.id}; GET /v1/models lists what it may", "model")
        return choice

    async def direct(self, choice: Choice, request: RerankRequest, extent: Extent) -> Choice:
        """Of a route, the lane that answers, or the rung of its ladder."""
        if (route := choice.route) is None:
            if request.lane is not None:
                raise InvalidRequest(f"lanes are of routes, and {choice.variant.name} is none", "x-rerank-lane")
            return choice
        first = to_lane(self._catalog, route, request)
        if not route.ladder or request.lane is not None:
            return first
        rungs = to_rungs(self._catalog, first, route, await self._candidates(EVERYBODY, extent))
        return rungs[self._brownout.rung(route, lambda rung: self.predicted_ms(rungs[rung].variant, extent))]

    async def _candidates(self, caller: Caller, extent: Extent) -> Sequence[Candidate]:
        states = await self._roll_call.states()
        return [
            Candidate(variant, states[name].status, self.predictor.milliseconds(variant, extent))
            for name, variant in self._catalog.variants.items()
            if self.may_use(caller, variant)
        ]

    def predicted_ms(self, served: Served, extent: Extent) -> float:
        """Of all stages, one after the other; a later one gets the documents that are kept."""
        plan = steps(self._catalog, served, len(extent.pairs))
        kept = [extent, *(extent.part(step.keep) for step in plan if step.keep is not None)]
        return sum(self.predictor.milliseconds(step.variant, each) for step, each in zip(plan, kept, strict=True))

    def may_use(self, caller: Caller, variant: Served) -> bool:
        """Whether the key may be answered by it."""
        if caller.models is None:
            return True
        return any(self._catalog.find(name) is variant for name in caller.models)

    def _require_route(self, caller: Caller, route: Route) -> None:
        """It may be used by a key that may use it by name, or everything that answers for it."""
        if caller.models is None or route.name in caller.models:
            return
        if not all(self.may_use(caller, self._catalog.named(lane.variant)) for lane in route.lanes):
            raise Forbidden(f"this key may not use the route {route.name}; GET /v1/models lists what it may", "model")
