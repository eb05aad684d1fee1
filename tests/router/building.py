"""The HTTP application over fakes, with the parts that a test wants to steer."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property

import httpx
from fastapi import FastAPI

from serve_app.catalog import Catalog
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.errors import Unauthenticated
from serve_app.router.caller import Caller
from serve_app.router.desk import Desk
from serve_app.router.http import create_api
from serve_app.router.limits import RateLimiter
from serve_app.router.office import RouteOffice
from serve_app.router.service import RerankService
from serve_app.router.switchboard import Switchboard
from serve_app.router.usage import Ledger
from serve_app.settings import Limits
from tests.fakes import FakeClock, FakeMeter, FakeScorers
from tests.router.memory_sink import MemorySink

LIMITS = Limits(max_documents=20, max_body_bytes=5_000, request_timeout_s=30.0)


@dataclass
class KnownCallers:
    """Keys that are names of callers; who sends none may be one too."""

    callers: Mapping[str | None, Caller]

    @property
    def wanted(self) -> bool:
        return None not in self.callers

    def caller(self, authorization: str | None) -> Caller:
        if authorization not in self.callers:
            raise Unauthenticated("the API key is not valid")
        return self.callers[authorization]


@dataclass
class House:
    """What a test steers: scorers, the ledger's sink, the callers, the catalog."""

    callers: Mapping[str | None, Caller]
    limits: Limits = LIMITS
    scorers: FakeScorers = field(default_factory=FakeScorers)
    sink: MemorySink = field(default_factory=MemorySink)
    catalog: Catalog = field(default_factory=lambda: load_catalog(default_catalog_path()))
    clock: FakeClock = field(default_factory=FakeClock)
    """The desk's."""

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.sink, flush_every_s=60.0)
        self.meter = FakeMeter()
        self.switchboard = Switchboard(self.catalog, self.meter)
        self.desk = Desk(None, self.meter, self.clock)
        self.service = RerankService(
            self.catalog, self.scorers, self.limits, RateLimiter(None), self.ledger, self.switchboard
        )
        self.office = RouteOffice(self.catalog, self.switchboard, self.desk, self.service.prove)

    @cached_property
    def api(self) -> FastAPI:
        return create_api(self.service, self.office, KnownCallers(self.callers))

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.api, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://router") as client:
            yield client
