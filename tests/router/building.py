"""The HTTP application over fakes, with the parts that a test wants to steer."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from serve_app.catalog import Catalog
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.errors import Unauthenticated
from serve_app.router.caller import Caller
from serve_app.router.http import create_api
from serve_app.router.limits import RateLimiter
from serve_app.router.service import RerankService
from serve_app.router.usage import Ledger
from serve_app.settings import Limits
from tests.fakes import FakeScorers
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

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.sink, flush_every_s=60.0)
        self.service = RerankService(self.catalog, self.scorers, self.limits, RateLimiter(None), self.ledger)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(
            create_api(self.service, KnownCallers(self.callers)), raise_app_exceptions=False
        )
        async with httpx.AsyncClient(transport=transport, base_url="http://router") as client:
            yield client
