from collections.abc import AsyncIterator

import httpx
import pytest

from serve_app.catalog import Catalog
from serve_app.router.http import create_api
from serve_app.router.service import RerankService
from serve_app.settings import Limits
from tests.fakes import FakeScorers

LIMITS = Limits(max_documents=20, max_body_bytes=5_000, request_timeout_s=30.0)


@pytest.fixture
def scorers() -> FakeScorers:
    return FakeScorers()


@pytest.fixture
async def api(catalog: Catalog, scorers: FakeScorers) -> AsyncIterator[httpx.AsyncClient]:
    """The HTTP application in process, over fake scorers."""
    application = create_api(RerankService(catalog, scorers, LIMITS))
    transport = httpx.ASGITransport(application, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://router") as client:
        yield client
