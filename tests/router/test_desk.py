"""The desk: one book for all routers, changes one after the other, canaries judged by what all routers saw."""

import asyncio
import logging

import pytest

from serve_app.errors import InvalidRequest, NoSuchRoute, RoutesChanged, RoutesUnavailable
from serve_app.router.book import Book
from serve_app.router.desk import GONE_S, LOOK_EVERY_S, WORST_KEPT, Desk
from serve_app.router.reports import Disagreement, Report
from serve_app.router.tally import Tally
from serve_app.routes import GuardLimits, Lane, Route, RouteTable
from tests.fakes import FakeClock, FakeMeter

pytestmark = pytest.mark.anyio
ROUTE = Route(name="search", lanes=(Lane(variant="old", weight=1),))
CANARY = ROUTE.with_canary("new", 10, GuardLimits(min_observations=20))
DECLARED = RouteTable().with_route(ROUTE)


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


@pytest.fixture
def desk(meter: FakeMeter, clock: FakeClock) -> Desk:
    return Desk(None, meter, clock)


def _tally(answers: int = 0, failures: int = 0, milliseconds: float = 50.0, taus: tuple[float, ...] = ()) -> Tally:
    tally = Tally()
    for number in range(answers):
        tally.answered(milliseconds + number % 7)
    for _ in range(failures):
        tally.failed()
    for tau in taus:
        tally.agreed(tau)
    return tally


async def _windows(desk: Desk, clock: FakeClock, number: int, canary: Tally) -> Book | None:
    """The book, if it changed: so many seconds of a good baseline and such a canary, told by two routers."""
    for _ in range(number):
        clock.now += 1.0
        version = (await desk.sight()).book.version
        for half in (Report("r1", {("search", "old"): _tally(90)}), Report("r1", {("search", "new"): canary})):
            if (book := await desk.report(half, version)) is not None:
                return book
    return None


async def test_changes_are_versions_of_one_book(desk: Desk, meter: FakeMeter) -> None:
    assert (await desk.declare(DECLARED)).version == 1
    book = await desk.put(CANARY, 1, "ann", str(CANARY))
    assert (book.version, book.table.routes["search"]) == (2, CANARY)
    assert (await desk.undo(2, "bob")).table == DECLARED
    book = await desk.remove("search", None, "bob")
    assert (book.version, book.table) == (4, RouteTable())
    assert [change.who for change in book.changes] == ["configuration", "ann", "bob", "bob"]
    assert meter.measured["rerank_routes_version",] == [4]


async def test_a_change_that_was_meant_for_another_version_is_refused(desk: Desk) -> None:
    await desk.declare(DECLARED)
    for change in (desk.put(CANARY, 7, "ann", "x"), desk.undo(0, "ann"), desk.remove("search", 2, "ann")):
        with pytest.raises(RoutesChanged, match="at version 1 and not"):
            await change
    with pytest.raises(NoSuchRoute, match="no route 'other'"):
        await desk.remove("other", 1, "ann")
    assert (await desk.sight()).book.version == 1


async def test_nothing_to_undo_is_a_sentence(desk: Desk) -> None:
    with pytest.raises(InvalidRequest, match="no change is left"):
        await desk.undo(None, "ann")


async def test_a_router_gets_the_book_when_it_has_another(desk: Desk) -> None:
    await desk.declare(DECLARED)
    assert await desk.report(Report("r1"), 1) is None
    for version in (0, 9):
        book = await desk.report(Report("r1"), version)
        assert book is not None
        assert book.version == 1


async def test_a_change_is_settled_when_every_router_has_it(desk: Desk) -> None:
    book = await desk.declare(DECLARED)
    for router in ("r1", "r2", "r3"):
        await desk.report(Report(router), book.version)
    book = await desk.put(CANARY, None, "ann", "x")
    waiting = asyncio.create_task(desk.settled(book.version, but="r1"))
    await desk.report(Report("r2"), 1)
    await asyncio.sleep(3 * LOOK_EVERY_S)
    assert not waiting.done()
    await desk.report(Report("r3"), 1)
    await asyncio.wait_for(waiting, 1)


async def test_a_router_that_is_gone_is_not_waited_for(desk: Desk, clock: FakeClock) -> None:
    await desk.report(Report("r2"), 0)
    book = await desk.declare(DECLARED)
    waiting = asyncio.create_task(desk.settled(book.version, but="r1"))
    await asyncio.sleep(3 * LOOK_EVERY_S)
    assert not waiting.done()
    clock.now += GONE_S + 1
    await asyncio.wait_for(waiting, 1)


async def test_a_desk_that_was_lost_takes_over_what_a_router_knows(
    desk: Desk, meter: FakeMeter, clock: FakeClock
) -> None:
    await desk.declare(DECLARED)
    book = await desk.put(CANARY, None, "ann", "x")
    other = Desk(None, meter, clock)
    assert (await other.offer(book)) == book
    assert (await other.offer(Book())) == book
    assert (await other.declare(DECLARED)) == book  # a router that starts declares what it was declared before


async def test_what_lanes_did_is_added_up_until_their_route_changes(desk: Desk) -> None:
    await desk.declare(DECLARED.with_route(ROUTE.model_copy(update={"name": "other"})))
    for _ in range(2):
        tally = _tally(3, failures=1)
        await desk.report(
            Report("r1", {("search", "old"): tally, ("other", "old"): tally}, {("search", "x"): tally}), 1
        )
    sight = await desk.sight()
    assert (sight.lanes["search", "old"].requests, sight.lanes["search", "old"].failures) == (8, 2)
    assert sight.shadows["search", "x"].requests == 8
    await desk.put(CANARY, None, "ann", "x")
    sight = await desk.sight()
    assert set(sight.lanes) == {("other", "old")}
    assert not sight.shadows


async def test_a_good_canary_stays(desk: Desk, clock: FakeClock) -> None:
    await desk.declare(RouteTable().with_route(CANARY))
    assert await _windows(desk, clock, 120, _tally(10, taus=(0.9,))) is None
    evidence = (await desk.sight()).evidence["search"]
    assert set(evidence) == {"errors", "latency", "agreement"}
    assert all(0 <= found < 1 for found in evidence.values())


async def test_a_window_is_judged_once(desk: Desk, clock: FakeClock) -> None:
    await desk.declare(RouteTable().with_route(CANARY))
    await _windows(desk, clock, 4, _tally(10, taus=(-1.0,)))
    before = (await desk.sight()).evidence["search"]["agreement"]
    await _windows(desk, clock, 2, Tally())
    assert before < (await desk.sight()).evidence["search"]["agreement"]  # the last of the four
    before = (await desk.sight()).evidence["search"]["agreement"]
    assert await _windows(desk, clock, 60, Tally()) is None
    assert (await desk.sight()).evidence["search"]["agreement"] == before


@pytest.mark.parametrize(
    ("canary", "limit"),
    [
        (_tally(8, failures=2), "errors"),
        (_tally(10, milliseconds=150.0), "latency"),
        (_tally(10, taus=(-1.0,)), "agreement"),
    ],
)
async def test_a_bad_canary_loses_its_weight(
    desk: Desk, clock: FakeClock, meter: FakeMeter, caplog: pytest.LogCaptureFixture, canary: Tally, limit: str
) -> None:
    await desk.declare(RouteTable().with_route(CANARY))
    with caplog.at_level(logging.WARNING):
        book = await _windows(desk, clock, 60, canary)
    assert book is not None
    assert book.table.routes["search"] == CANARY.aborted()
    assert (book.changes[-1].who, book.version) == ("guard", 2)
    assert "search: canary new aborted: " in book.changes[-1].what
    assert book.changes[-1].what in caplog.text
    assert meter.counted["rerank_canaries_aborted_total", "search", "new", limit] == 1
    assert (await desk.sight()).evidence == {}
    assert await _windows(desk, clock, 5, canary) is None  # and is not judged any more


async def test_a_new_canary_begins_without_what_the_last_one_did(desk: Desk, clock: FakeClock) -> None:
    await desk.declare(RouteTable().with_route(CANARY))
    await _windows(desk, clock, 60, _tally(10, taus=(-1.0,)))
    await desk.put(CANARY, None, "ann", "again")
    assert await _windows(desk, clock, 30, _tally(10, taus=(0.9,))) is None


async def test_more_weight_keeps_the_evidence_against_a_canary(desk: Desk, clock: FakeClock) -> None:
    await desk.declare(RouteTable().with_route(CANARY))
    await _windows(desk, clock, 4, _tally(10, taus=(-1.0,)))
    before = (await desk.sight()).evidence["search"]["agreement"]
    assert before > 0
    assert CANARY.canary is not None
    assert CANARY.canary.guard is not None
    await desk.put(CANARY.with_canary("new", 50, CANARY.canary.guard), None, "ann", "more")
    assert (await desk.sight()).evidence["search"]["agreement"] == before


async def test_the_worst_disagreements_are_kept(desk: Desk) -> None:
    await desk.declare(DECLARED)
    found = [Disagreement("search", f"r{n}", "old", "new", n / 100, "q", (), ()) for n in range(2 * WORST_KEPT)]
    await desk.report(Report("r1", disagreements=tuple(found[1::2])), 1)
    await desk.report(Report("r1", disagreements=tuple(found[::2])), 1)
    assert [each.tau for each in await desk.disagreements("search")] == [n / 100 for n in range(WORST_KEPT)]
    assert await desk.disagreements("other") == []


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
    book = await _windows(desk, clock, 60, _tally(10, taus=(-1.0,)))
    assert book is not None
    store.away = False
    clock.now += 1.0
    await desk.report(Report("r1"), book.version)
    assert store.book == book
