"""Routes that a cluster's RayService declares, and the lever of a rollout on them.

A change is one patch of serveConfigV2, which KubeRay applies in place; it is refused when somebody else has changed the
RayService since it was read. What the canary does is read from Prometheus.
"""

import time
from collections.abc import Callable
from dataclasses import replace

from serve_app.catalog import Catalog
from serve_app.cluster.declared import declared_routes, served_only, with_routes
from serve_app.cluster.kube import Kube, KubernetesError
from serve_app.cluster.monitoring import INTERVAL_S
from serve_app.cluster.objects import NAME, NAMESPACE, Object, kubernetes_object
from serve_app.cluster.rollout import Standing, Vitals
from serve_app.cluster.vitals import Prometheus
from serve_app.errors import ConfigurationError
from serve_app.routes import GuardLimits, Route, RouteTable


class ClusterRoutes:
    """Of the fleet in one cluster."""

    def __init__(self, kube: Kube, catalog: Catalog) -> None:
        self._kube = kube
        self._catalog = catalog

    def table(self) -> RouteTable:
        """What the RayService declares; raises KubernetesError where there is none."""
        return declared_routes(self._read())

    def route(self, name: str) -> Route:
        """Raises ConfigurationError when it declares no such route."""
        return _found(self.table(), name)

    def short_name(self, variant: str) -> str:
        """Of the variant or cascade that is called so and that the fleet serves; raises ConfigurationError."""
        catalog = self._served(self._read())
        if (served := catalog.find(variant)) is None:
            raise ConfigurationError(f"the fleet serves no {variant!r}; `rerank k8s routes show` lists what it does")
        return served.name

    def served(self) -> tuple[str, ...]:
        """Names of the variants that the fleet serves."""
        return tuple(self._served(self._read()).variants)

    def change(self, move: Callable[[RouteTable], RouteTable]) -> None:
        """Declare other routes; raises Conflict when the RayService has changed meanwhile."""
        live = self._read()
        try:
            table = move(declared_routes(live)).checked(self._served(live))
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        self._kube.change(live, {"spec": {"serveConfigV2": with_routes(live, table)}})

    def change_route(self, name: str, move: Callable[[Route], Route]) -> None:
        """Likewise of one route that is there."""
        self.change(lambda table: table.with_route(move(_found(table, name))))

    def _read(self) -> Object:
        live = self._kube.read(kubernetes_object("ray.io/v1", "RayService", NAME, {}))
        if live is None:
            raise KubernetesError(f"there is no RayService {NAME} in {NAMESPACE}: `rerank k8s apply` makes one")
        return live

    def _served(self, live: Object) -> Catalog:
        only = served_only(live)
        return self._catalog.only(only) if only else self._catalog


class ClusterLever:
    """Moves one canary of one route."""

    look_every_s: float = INTERVAL_S

    def __init__(
        self, routes: ClusterRoutes, prometheus: Prometheus, route: str, variant: str, limits: GuardLimits
    ) -> None:
        """`variant` is any of its names; raises ConfigurationError when the fleet serves no such one."""
        self.route = route
        self.variant = routes.short_name(variant)
        self._routes = routes
        self._prometheus = prometheus
        self._limits = limits
        self._since = time.time()

    def standing(self) -> Standing | None:
        """See Lever."""
        route = self._routes.route(self.route)
        return None if route.canary is None else Standing(route.canary.variant, 100 * route.share(route.canary))

    def look(self) -> Vitals:
        """See Lever; what is counted is what came since the last move."""
        route = self._routes.route(self.route)
        canary = route.canary
        if canary is None or canary.variant != self.variant or not canary.weight:
            return Vitals(0.0)
        declared, baseline = 100 * route.share(canary), route.baseline.variant
        seen = self._prometheus.vitals(self.route, self.variant, baseline, declared, since=self._since)
        return replace(seen, percent=declared)  # where the routers took its weight, it has to be declared so yet

    def move(self, percent: float) -> None:
        """See Lever."""
        self._move(lambda route: route.with_canary(self.variant, percent, self._limits))

    def promote(self) -> None:
        """See Lever."""
        self._move(Route.promoted)

    def abort(self) -> None:
        """See Lever."""
        self._move(Route.aborted)

    def _move(self, move: Callable[[Route], Route]) -> None:
        self._routes.change_route(self.route, move)
        self._since = time.time()


def _found(table: RouteTable, name: str) -> Route:
    if name not in table.routes:
        names = ", ".join(table.routes) or "none"
        raise ConfigurationError(f"the RayService declares no route {name!r}; its routes are: {names}")
    return table.routes[name]
