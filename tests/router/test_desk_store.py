"""What the desk makes of a place where its book outlives it, and of one that is away."""

import asyncio

import pytest

from serve_app.errors import RoutesChanged, RoutesUnavailable
from serve_app.router.book import Book
from serve_app.router.desk import Desk
from serve_app.router.reports import Report
from serve_app.routes import RouteTable
from tests.fakes import FakeClock, FakeMeter
from tests.router.desks import CANARY, DECLARED, ROUTE, tally, windows

pytestmark = pytest.mark.anyio


class MemoryStore:
    """A store that can be away."""

    def __init__(self) -> None:
        self.book = Book()
        self.away = False
        self.slow_s = 0.0

    async def newer(self, version: int) -> Book | None:
        self._answer()
        return self.book if self.book.version > version else None

    async def keep(self, book: Book) -> bool:
        self._answer()
        await asyncio.sleep(self.slow_s)
        if self.book.version >= book.version:
            return False
        self.book = book
        return True

    def _answer(self) -> None:
        if self.away:
            raise RoutesUnavailable("away")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def meter() -> FakeMeter:
    return FakeMeter()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


async def test_a_book_outlives_the_service(store: MemoryStore, meter: FakeMeter, clock: FakeClock) -> None:
    book = await Desk(store, meter, clock).put(CANARY, None, "ann", "x")
    assert store.book == book
    later = Desk(store, meter, clock)
    await later.declare(RouteTable())
    assert (await later.sight()).book == book


async def test_what_a_router_offers_is_kept_as_well(store: MemoryStore, meter: FakeMeter, clock: FakeClock) -> None:
    desk = Desk(store, meter, clock)
    book = await desk.offer(Book().declaring(DECLARED, 1.0))
    clock.now += 1.0
    await desk.report(Report("r1"), book.version)
    assert store.book == book


async def test_another_service_with_the_same_store_is_heard_within_a_window(
    store: MemoryStore, meter: FakeMeter, clock: FakeClock
) -> None:
    one, other = Desk(store, meter, clock), Desk(store, meter, clock)
    book = await one.put(ROUTE, None, "ann", "x")
    assert await other.report(Report("r1"), 0) is None
    clock.now += 1.0
    assert await other.report(Report("r1"), 0) == book


async def test_of_two_changes_at_once_one_is_refused(store: MemoryStore, meter: FakeMeter, clock: FakeClock) -> None:
    one, other = Desk(store, meter, clock), Desk(store, meter, clock)
    book = await one.put(ROUTE, 0, "ann", "x")
    with pytest.raises(RoutesChanged, match="elsewhere at the same moment"):
        await other.put(CANARY, 0, "bob", "y")
    assert (await other.sight()).book == book == store.book


async def test_changes_wait_for_each_other(store: MemoryStore, meter: FakeMeter, clock: FakeClock) -> None:
    """While one is being kept, the next is not made of the same book."""
    store.slow_s = 0.01
    desk = Desk(store, meter, clock)
    other = ROUTE.model_copy(update={"name": "other"})
    await asyncio.gather(desk.put(ROUTE, None, "ann", "x"), desk.put(other, None, "bob", "y"))
    assert set((await desk.sight()).book.table.routes) == {"search", "other"}


async def test_without_its_store_the_desk_goes_on(store: MemoryStore, meter: FakeMeter, clock: FakeClock) -> None:
    store.away = True
    desk = Desk(store, meter, clock)
    await desk.declare(RouteTable().with_route(CANARY))
    book = await windows(desk, clock, 60, tally(10, taus=(-1.0,)))
    assert book is not None
    store.away = False
    clock.now += 1.0
    await desk.report(Report("r1"), book.version)
    assert store.book == book
