"""The book of routes in a real Redis."""

from collections.abc import AsyncIterator

import pytest

from serve_app.errors import ConfigurationError, RoutesUnavailable
from serve_app.router.book import Book
from serve_app.router.book_redis import RedisStore
from serve_app.routes import Lane, Route, RouteTable
from tests.redis_server import database
from tests.running import free_port

pytestmark = pytest.mark.anyio
TABLE = RouteTable().with_route(Route(name="search", lanes=(Lane(variant="minilm-l6", weight=1),)))


@pytest.fixture
async def stores(redis_url: str) -> AsyncIterator[tuple[RedisStore, RedisStore]]:
    one, other = (RedisStore(database(redis_url, 5)) for _ in range(2))
    yield one, other
    await one.close()
    await other.close()


async def test_a_book_is_kept_over_an_older_one_alone(stores: tuple[RedisStore, RedisStore]) -> None:
    one, other = stores
    assert await one.newer(0) is None
    first = Book().declaring(TABLE, 1.0)
    second = first.changed(RouteTable(), "ann", "x", 2.0)
    assert await one.keep(first)
    assert not await other.keep(first)
    assert await other.newer(0) == first
    assert await other.newer(1) is None
    assert await other.keep(second)
    assert not await one.keep(first)
    assert await one.newer(1) == second


async def test_a_redis_that_is_away_is_a_sentence() -> None:
    store = RedisStore(f"redis://:geheim@127.0.0.1:{free_port()}/0")
    with pytest.raises(RoutesUnavailable, match="Redis fails with ConnectionError") as raised:
        await store.newer(0)
    assert "geheim" not in str(raised.value)
    await store.close()


async def test_a_url_that_is_none_is_a_sentence() -> None:
    with pytest.raises(ConfigurationError, match="the URL of Redis cannot be read"):
        RedisStore("mysql://somewhere")
