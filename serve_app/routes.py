"""Routes: public names whose traffic is split over lanes. What an operator writes comes in, checked.

What moves a route's traffic is a method that gives another route. It knows the catalog, and neither requests nor what
the lanes do now.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field, model_validator

from serve_app.catalog import Catalog
from serve_app.plan import Alias, Block, Name, with_names

DEFAULT = "default"
"""The route of this name answers requests that name no model; without one, the catalog's default does."""
AUTO = "auto"
TIER_PREFIX = "tier:"
WHOLE = 100.0
"""Weights are shares of each other; the commands keep them as percents."""


class Sticky(StrEnum):
    """What has one lane as long as the weights stay."""

    QUERY = "query"
    USER = "user"
    """The body's field `user`; where a request has none, its query."""
    KEY = "key"


class GuardLimits(Block):
    """What a canary has to keep. A limit that is None is not watched."""

    max_error_rate: Annotated[float, Field(gt=0, lt=1)] | None = 0.01
    """Of its requests; one that fails as often as the baseline is kept all the same."""
    max_latency_ratio: Annotated[float, Field(gt=1, le=100)] | None = 1.5
    """Its median and p99, each by the baseline's."""
    min_agreement: Annotated[float, Field(gt=-1, lt=1)] | None = 0.2
    """Mean Kendall's tau of its order and the baseline's of the same documents: 1 is the same, -1 the inverse."""
    compare: Annotated[float, Field(gt=0, le=1)] = 0.1
    """Share of its requests that the baseline scores as well, off the answer's path."""
    min_observations: Annotated[int, Field(ge=1)] = 50
    """Of its requests, before an error rate or a latency can count against it."""


class Lane(Block):
    """A variant or cascade that answers a share of a route's requests."""

    variant: Alias
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False, le=1e6)]
    guard: GuardLimits | None = None
    """Makes the lane a canary: a breach takes its weight."""


class ShadowLane(Block):
    """A variant or cascade that scores a copy of a share of the requests, and answers none."""

    variant: Alias
    sample: Annotated[float, Field(gt=0, le=1)]


LaneKind = TypeVar("LaneKind", Lane, ShadowLane)


class RouteTerms(Block):
    """What an operator writes of a route."""

    lanes: Annotated[tuple[Lane, ...], Field(min_length=1, max_length=16)]
    shadows: Annotated[tuple[ShadowLane, ...], Field(max_length=8)] = ()
    sticky: Sticky = Sticky.QUERY
    target_ms: Annotated[float, Field(gt=0)] | None = None
    """How long an answer may take before a ladder is stepped down."""
    ladder: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    """What answers instead of the lanes under overload, the first before the next: variants, cascades, `tier:NAME`."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        names = [lane.variant for lane in self.lanes]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"{twice} has two lanes: give it one, with the sum of their weights")
        if not sum(lane.weight for lane in self.lanes):
            raise ValueError("all weights are 0, so no lane would answer: give one a weight above 0")
        if sum(lane.guard is not None for lane in self.lanes) > 1:
            raise ValueError("two lanes have a guard: one canary at a time can be judged")
        if all(lane.guard for lane in self.lanes):
            raise ValueError("the only lane has a guard, and nothing to be compared with: leave the guard out")
        if self.ladder and self.target_ms is None:
            raise ValueError("a ladder needs target_ms: it is stepped down while answers are predicted to take longer")
        return self


class Route(RouteTerms):
    """Lanes under one public name."""

    name: Name

    @property
    def terms(self) -> RouteTerms:
        """The same without its name."""
        return RouteTerms(**{field: getattr(self, field) for field in RouteTerms.model_fields})

    @property
    def canary(self) -> Lane | None:
        """The lane with a guard."""
        return next((lane for lane in self.lanes if lane.guard is not None), None)

    @property
    def baseline(self) -> Lane:
        """The heaviest lane without a guard: what a canary is compared with."""
        return max((lane for lane in self.lanes if lane.guard is None), key=lambda lane: lane.weight)

    def share(self, lane: Lane) -> float:
        """The part of the requests that the lane answers, from 0 to 1."""
        return lane.weight / sum(each.weight for each in self.lanes)

    def with_canary(self, variant: str, percent: float, guard: GuardLimits) -> "Route":
        """The variant as the canary of so many percent; the other lanes share the rest as they did before."""
        others = [lane for lane in self.lanes if lane.guard is None and lane.variant != variant]
        if not others:
            raise ValueError(f"{variant} is the only lane of {self.name}, and cannot be its own canary")
        return self._with(*_scaled(others, WHOLE - percent), Lane(variant=variant, weight=percent, guard=guard))

    def promoted(self) -> "Route":
        """The canary as the only lane; raises ValueError where there is none."""
        return self._with(Lane(variant=self._canary().variant, weight=WHOLE))

    def aborted(self) -> "Route":
        """The canary without weight; raises ValueError where there is none."""
        canary = self._canary()
        others = [lane for lane in self.lanes if lane is not canary]
        return self._with(*_scaled(others, WHOLE), canary.model_copy(update={"weight": 0.0}))

    def __str__(self) -> str:
        lanes = [f"{lane.variant} {lane.weight:g}{' (canary)' if lane.guard else ''}" for lane in self.lanes]
        shadows = [f"{shadow.variant} follows {shadow.sample:.0%}" for shadow in self.shadows]
        return f"{self.name}: {', '.join(lanes + shadows)}"

    def _canary(self) -> Lane:
        if (canary := self.canary) is None:
            raise ValueError(f"the route {self.name} has no canary")
        return canary

    def _with(self, *lanes: Lane) -> "Route":
        return Route.model_validate({**dict(self), "lanes": lanes})


class RouteTable(Block):
    """All routes, by name."""

    routes: dict[Name, Route] = Field(default_factory=dict, max_length=200)

    @model_validator(mode="before")
    @classmethod
    def _give_names(cls, data: Any) -> Any:
        return with_names(data, "routes")

    def with_route(self, route: Route) -> "RouteTable":
        """The same with this route, in the place of one of its name."""
        return RouteTable(routes={**self.routes, route.name: route})

    def without(self, name: str) -> "RouteTable":
        """The same without the route of this name."""
        return RouteTable(routes={key: route for key, route in self.routes.items() if key != name})

    def checked(self, catalog: Catalog) -> "RouteTable":
        """The same with the catalog's short names; raises ValueError that says what the catalog does not have."""
        return RouteTable(routes={name: self._checked(route, catalog) for name, route in self.routes.items()})

    def _checked(self, route: Route, catalog: Catalog) -> Route:
        if catalog.find(route.name) is not None:
            raise ValueError(f"routes.{route.name}: a variant or cascade has this name")
        if route.name == AUTO:
            raise ValueError(f"routes.{AUTO}: {AUTO} is what requests say that leave the choice to the service")
        return Route.model_validate(
            {
                **dict(route),
                "lanes": [_renamed(lane, self._short(lane.variant, route, catalog)) for lane in route.lanes],
                "shadows": [_renamed(shadow, self._short(shadow.variant, route, catalog)) for shadow in route.shadows],
                "ladder": [self._rung(rung, route, catalog) for rung in route.ladder],
            }
        )

    def _rung(self, rung: str, route: Route, catalog: Catalog) -> str:
        if not rung.startswith(TIER_PREFIX):
            return self._short(rung, route, catalog)
        if not any(variant.tier == rung.removeprefix(TIER_PREFIX) for variant in catalog.variants.values()):
            raise ValueError(
                f"routes.{route.name}.ladder names {rung!r}, and no variant of the catalog is in that tier"
            )
        return rung

    def _short(self, name: str, route: Route, catalog: Catalog) -> str:
        if (served := catalog.find(name)) is not None:
            return served.name
        what = "a route, and a lane is a variant or a cascade" if name in self.routes else "not in the catalog"
        raise ValueError(f"routes.{route.name} names {name!r}, which is {what}")


def _scaled(lanes: Sequence[Lane], total: float) -> Iterator[Lane]:
    """The same lanes with weights of this sum, in the same proportion; all to the first where none has any."""
    weights = [lane.weight for lane in lanes] if any(lane.weight for lane in lanes) else [1.0] + [0.0] * len(lanes)
    by = total / sum(weights)
    return (lane.model_copy(update={"weight": weight * by}) for lane, weight in zip(lanes, weights, strict=False))


def _renamed(lane: LaneKind, variant: str) -> LaneKind:
    return lane.model_copy(update={"variant": variant})
