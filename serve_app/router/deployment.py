"""The Ray Serve deployment that is the HTTP ingress: it wires the use case to handles, keys, limits and ledger."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from serve_app.catalog import Catalog, Variant
from serve_app.router.book_redis import RedisStore
from serve_app.router.caller import EVERYBODY
from serve_app.router.desk import Desk
from serve_app.router.http import create_api
from serve_app.router.keys import Keyring, NoKeys
from serve_app.router.limits import RateLimiter
from serve_app.router.meter import RayMeter
from serve_app.router.office import RouteOffice
from serve_app.router.ray_desk import RayDesk
from serve_app.router.scorers import RayScorers
from serve_app.router.service import RerankService
from serve_app.router.switchboard import DeskLike, Switchboard
from serve_app.router.usage import Ledger
from serve_app.router.usage_redis import RedisSink
from serve_app.router.usage_sqlite import SqliteSink
from serve_app.routes import RouteTable
from serve_app.scoring import ScorerState
from serve_app.settings import Limits, UsageSettings

_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log


@dataclass(frozen=True, slots=True)
class RouterOptions:
    """What a replica is given by the process that starts the service."""

    limits: Limits
    usage: UsageSettings
    keys: Path | None
    """None is open mode."""
    redis_url: str | None = field(repr=False)
    """It may hold a password."""


class TrafficDesk(Desk):
    """The desk of several routers, as a deployment of its own."""

    def __init__(self, redis_url: str | None) -> None:
        self._redis = None if redis_url is None else RedisStore(redis_url)
        super().__init__(self._redis, RayMeter())

    async def close(self) -> None:
        """Close what it has open, where it is no deployment, whose end is its process's."""
        if self._redis is not None:
            await self._redis.close()


@serve.ingress()
class Router:
    """One replica of the router. `scorers` holds a handle for every variant of the catalog, by its name.

    `desk` is None where this router is the only one, and has the desk itself.
    """

    def __init__(
        self,
        catalog: Catalog,
        options: RouterOptions,
        scorers: dict[str, DeploymentHandle[Any]],
        desk: DeploymentHandle[Any] | None,
    ) -> None:
        application = serve.get_replica_context().app_name
        url = options.redis_url
        self._keys = NoKeys() if options.keys is None else Keyring(options.keys)
        self._limiter = RateLimiter(url)
        sink = SqliteSink(options.usage.path) if url is None else RedisSink(url)
        self._ledger = Ledger(sink, options.usage.flush_every_s)
        self._catalog = catalog
        self._meter = RayMeter()
        self._switchboard = Switchboard(catalog, self._meter)
        self._desk: DeskLike = TrafficDesk(url) if desk is None else RayDesk(desk)
        self._service = RerankService(
            catalog, RayScorers(scorers, application), options.limits, self._limiter, self._ledger, self._switchboard
        )

    async def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Ray's name for what it calls with `user_config`, when the replica starts and whenever that changes.

        Raises ValueError for routes that the catalog cannot serve: Ray then shows the sentence, and goes on.
        """
        table = RouteTable.model_validate(user_config).checked(self._catalog)
        self._switchboard.take(await self._desk.declare(table))

    def __serve_build_asgi_app__(self) -> FastAPI:
        """What Ray Serve runs behind its proxy."""
        office = RouteOffice(self._catalog, self._switchboard, self._desk, self._service.prove)
        return create_api(self._service, office, self._keys, self._while_it_runs)

    async def states(self) -> dict[str, ScorerState]:
        """What each variant can do now, by its name: for the process that started the service, which has no key."""
        known = await self._service.models(EVERYBODY)
        return {served.name: state for served, state in known if isinstance(served, Variant)}

    @asynccontextmanager
    async def _while_it_runs(self, _: FastAPI) -> AsyncIterator[None]:
        """Usage is written and lanes are reported all the while; what is left of the usage at the end."""
        running = [
            asyncio.create_task(self._ledger.run(self._meter), name="usage is not written"),
            asyncio.create_task(self._switchboard.run(self._desk), name="routes are not kept up to date"),
        ]
        for task in running:
            task.add_done_callback(_tell_failure)
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self._service.close()
            await self._ledger.close()
            await self._limiter.close()
            if isinstance(self._desk, TrafficDesk):
                await self._desk.close()


def _tell_failure(task: asyncio.Task[None]) -> None:
    """What ends the work other than a stop is a bug: nobody awaits it before the stop, which may be months away."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("%s any more until the router stops", task.get_name(), exc_info=error)
