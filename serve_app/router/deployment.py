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
from serve_app.router.caller import EVERYBODY
from serve_app.router.http import create_api
from serve_app.router.keys import Keyring, NoKeys
from serve_app.router.limits import RateLimiter
from serve_app.router.scorers import RayScorers
from serve_app.router.service import RerankService
from serve_app.router.usage import Ledger
from serve_app.router.usage_redis import RedisSink
from serve_app.router.usage_sqlite import SqliteSink
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


@serve.ingress()
class Router:
    """One replica of the router. `scorers` holds a handle for every variant of the catalog, by its name."""

    def __init__(self, catalog: Catalog, options: RouterOptions, scorers: dict[str, DeploymentHandle[Any]]) -> None:
        application = serve.get_replica_context().app_name
        url = options.redis_url
        self._keys = NoKeys() if options.keys is None else Keyring(options.keys)
        self._limiter = RateLimiter(url)
        sink = SqliteSink(options.usage.path) if url is None else RedisSink(url)
        self._ledger = Ledger(sink, options.usage.flush_every_s)
        self._service = RerankService(
            catalog, RayScorers(scorers, application), options.limits, self._limiter, self._ledger
        )

    def __serve_build_asgi_app__(self) -> FastAPI:
        """What Ray Serve runs behind its proxy."""
        return create_api(self._service, self._keys, self._while_it_runs)

    async def states(self) -> dict[str, ScorerState]:
        """What each variant can do now, by its name: for the process that started the service, which has no key."""
        known = await self._service.models(EVERYBODY)
        return {served.name: state for served, state in known if isinstance(served, Variant)}

    @asynccontextmanager
    async def _while_it_runs(self, _: FastAPI) -> AsyncIterator[None]:
        """Usage is written all the while, and what is left of it at the end."""
        writing = asyncio.create_task(self._ledger.run())
        writing.add_done_callback(_tell_failure)
        try:
            yield
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await self._ledger.close()
            await self._limiter.close()


def _tell_failure(writing: asyncio.Task[None]) -> None:
    """What ends the writing other than a stop is a bug: nobody awaits it before the stop, which may be months away."""
    if not writing.cancelled() and (error := writing.exception()) is not None:
        _log.error("usage is not written any more until the router stops", exc_info=error)
