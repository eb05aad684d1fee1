"""The desk: one book for all routers, changes one after the other, canaries judged by what all routers saw."""

import asyncio
import logging

import pytest

from serve_app.errors import InvalidRequest, NoSuchRoute, RoutesChanged
from serve_app.router.book import Book
from serve_app.router.desk import GONE_S, LOOK_EVERY_S, WORST_KEPT, Desk
from serve_app.router.reports import Disagreement, Report
from serve_app.router.tally import Tally
from serve_app.routes import RouteTable
from tests.fakes import FakeClock, FakeMeter
from tests.router.desks import CANARY, DECLARED, ROUTE, tally, windows

pytestmark = pytest.mark.anyio


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def meter() -> FakeMeter:
    return FakeMeter()


@pytest.fixture
def desk(meter: FakeMeter, clock: FakeClock) -> Desk:
    return Desk(None, meter, clock)


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
        told = tally(3, failures=1)
        await desk.report(Report("r1", {("search", "old"): told, ("other", "old"): told}, {("search", "x"): told}), 1)
    sight = await desk.sight()
    assert (sight.lanes["search", "old"].requests, sight.lanes["search", "old"].failures) == (8, 2)
    assert sight.shadows["search", "x"].requests == 8
    await desk.put(CANARY, None, "ann", "x")
    sight = await desk.sight()
    assert set(sight.lanes) == {("other", "old")}
    assert not sight.shadows


async def test_a_good_canary_stays(desk: Desk, clock: FakeClock) -> None:
    await desk.declare(RouteTable().with_route(CANARY))
    assert await windows(desk, clock, 120, tally(10, taus=(0.9,))) is None
    evidence = (await desk.sight()).evidence["search"]
    assert set(evidence) == {"errors", "latency", "agreement"}
    assert all(0 <= found < 1 for found in evidence.values())


async def test_a_window_is_judged_once(desk: Desk, clock: FakeClock) -> None:
    await desk.declare(RouteTable().with_route(CANARY))
    await windows(desk, clock, 4, tally(10, taus=(-1.0,)))
    before = (await desk.sight()).evidence["search"]["agreement"]
    await windows(desk, clock, 2, Tally())
    assert before < (await desk.sight()).evidence["search"]["agreement"]  # the last of the four
    before = (await desk.sight()).evidence["search"]["agreement"]
    assert await windows(desk, clock, 60, Tally()) is None
    assert (await desk.sight()).evidence["search"]["agreement"] == before


@pytest.mark.parametrize(
    ("canary", "limit"),
    [
        (tally(8, failures=2), "errors"),
        (tally(10, milliseconds=150.0), "latency"),
        (tally(10, taus=(-1.0,)), "agreement"),
    ],
)
async def test_a_bad_canary_loses_its_weight(
    desk: Desk, clock: FakeClock, meter: FakeMeter, caplog: pytest.LogCaptureFixture, canary: Tally, limit: str
) -> None:
    await desk.declare(RouteTable().with_route(CANARY))
    with caplog.at_level(logging.WARNING):
        book = await windows(desk, clock, 60, canary)
    assert book is not None
    assert book.table.routes["search"] == CANARY.aborted()
    assert (book.changes[-1].who, book.version) == ("guard", 2)
    assert "search: canary new aborted: " in book.changes[-1].what
    assert book.changes[-1].what in caplog.text
    assert meter.counted["rerank_canaries_aborted_total", "search", "new", limit] == 1
    assert (await desk.sight()).evidence == {}
    assert await windows(desk, clock, 5, canary) is None  # and is not judged any more


async def test_a_new_canary_begins_without_what_the_last_one_did(desk: Desk, clock: FakeClock) -> None:
    await desk.declare(RouteTable().with_route(CANARY))
    await windows(desk, clock, 60, tally(10, taus=(-1.0,)))
    await desk.put(CANARY, None, "ann", "again")
    assert await windows(desk, clock, 30, tally(10, taus=(0.9,))) is None


async def test_more_weight_keeps_the_evidence_against_a_canary(desk: Desk, clock: FakeClock) -> None:
    await desk.declare(RouteTable().with_route(CANARY))
    await windows(desk, clock, 4, tally(10, taus=(-1.0,)))
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
