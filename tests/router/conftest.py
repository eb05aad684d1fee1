from collections.abc import AsyncIterator

import httpx
import pytest

from serve_app.router.caller import EVERYBODY
from tests.fakes import FakeScorers
from tests.router.building import House


@pytest.fixture
def scorers() -> FakeScorers:
    return FakeScorers()


@pytest.fixture
async def api(scorers: FakeScorers) -> AsyncIterator[httpx.AsyncClient]:
    """The HTTP application in process, over fake scorers, open to everybody."""
    async with House({None: EVERYBODY}, scorers=scorers).client() as client:
        yield client
