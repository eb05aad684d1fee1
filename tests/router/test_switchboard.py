"""What one router tells the desk and takes from it."""

import asyncio
import logging

import pytest

from serve_app.catalog import Catalog
from serve_app.errors import EngineFailure, InputTooLong, RoutesUnavailable
from serve_app.router.agreement import Agreement
from serve_app.router.book import Book
from serve_app.router.desk import Desk
from serve_app.router.ranking import Choice
from serve_app.router.reports import Disagreement, Report
from serve_app.router.switchboard import TOLD_AT_ONCE, Switchboard
from serve_app.routes import GuardLimits, Lane, Route, RouteTable
from tests.fakes import FakeClock, FakeMeter

pytestmark = pytest.mark.anyio
ROUTE = Route(name="search", lanes=(Lane(variant="minilm-l6", weight=1),)).with_canary("minilm-l12", 10, GuardLimits())
DEFAULT = Route(name="default", lanes=(Lane(variant="minilm-l6", weight=1),))
TABLE = RouteTable().with_route(ROUTE)


class UnreachableDesk(Desk):
    """Does not answer reports for as long as `away`."""

    away = True

    async def report(self, report: Report, version: int) -> Book | None:
        if self.away:
            raise RoutesUnavailable("what holds the routes does not answer now")
        return await super().report(report, version)


@pytest.fixture
def meter() -> FakeMeter:
    return FakeMeter()


@pytest.fixture
def switchboard(catalog: Catalog, meter: FakeMeter) -> Switchboard:
    return Switchboard(catalog, meter)


@pytest.fixture
def desk() -> Desk:
    return Desk(None, FakeMeter(), FakeClock())


def _choice(catalog: Catalog, lane: Lane | None, route: Route | None = ROUTE, variant: str = "minilm-l12") -> Choice:
    return Choice(catalog.named(variant), "", route=route, lane=lane)


async def test_routes_are_found_by_name_in_any_case(switchboard: Switchboard, desk: Desk) -> None:
    switchboard.take(await desk.declare(TABLE.with_route(DEFAULT)))
    assert switchboard.route(" Search ") == ROUTE
    assert switchboard.route(None) == DEFAULT
    assert switchboard.route("other") is None


async def test_a_book_is_taken_when_the_desk_has_another(switchboard: Switchboard, desk: Desk) -> None:
    await desk.declare(TABLE)
    await switchboard.exchange(desk)
    assert switchboard.book.table == TABLE
    book = await desk.undo(None, "ann")
    await switchboard.exchange(desk)
    assert switchboard.book == book


async def test_a_desk_that_knows_less_is_told(switchboard: Switchboard, desk: Desk) -> None:
    book = await desk.declare(TABLE)
    switchboard.take(book)
    new = Desk(None, FakeMeter(), FakeClock())
    await switchboard.exchange(new)
    assert (await new.sight()).book == book == switchboard.book


async def test_an_older_book_is_not_taken(switchboard: Switchboard, desk: Desk) -> None:
    old = await desk.declare(TABLE)
    switchboard.take(await desk.undo(None, "ann"))
    switchboard.take(old)
    assert switchboard.book.version == 2


async def test_a_book_of_another_catalog_is_not_taken(
    switchboard: Switchboard, desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    switchboard.take(await desk.declare(TABLE))
    strange = Route(name="search", lanes=(Lane(variant="bge", weight=1),))
    switchboard.take(await desk.put(strange, None, "ann", "x"))
    assert switchboard.book.table == TABLE
    assert "version 2 is not of this catalog" in caplog.text


async def test_the_desk_hears_of_each_lane_once(
    switchboard: Switchboard, desk: Desk, catalog: Catalog, meter: FakeMeter
) -> None:
    await desk.declare(TABLE)
    choice = _choice(catalog, ROUTE.canary)
    switchboard.answered(choice, 40.0, 3)
    switchboard.answered(choice, 60.0, 2)
    switchboard.failed(choice, EngineFailure("x"))
    switchboard.failed(choice, InputTooLong("the request's own fault"))
    for _ in range(2):
        await switchboard.exchange(desk)
    tally = (await desk.sight()).lanes["search", "minilm-l12"]
    assert (tally.requests, tally.failures) == (3, 1)
    assert meter.counted["rerank_answers_total", "search", "minilm-l12", "ok"] == 2
    assert meter.counted["rerank_answers_total", "search", "minilm-l12", "engine_failure"] == 1
    assert meter.counted["rerank_answers_total", "search", "minilm-l12", "input_too_long"] == 1
    assert meter.counted["rerank_documents_total", "minilm-l12"] == 5
    assert meter.measured["rerank_answer_milliseconds", "search", "minilm-l12"] == [40.0, 60.0]


async def test_what_is_no_lane_is_counted_and_not_told(
    switchboard: Switchboard, desk: Desk, catalog: Catalog, meter: FakeMeter
) -> None:
    for choice in (_choice(catalog, None), _choice(catalog, None, None)):
        switchboard.answered(choice, 40.0, 1)
        switchboard.failed(choice, EngineFailure("x"))
    await switchboard.exchange(desk)
    assert not (await desk.sight()).lanes
    assert meter.counted["rerank_answers_total", "", "minilm-l12", "ok"] == 1


@pytest.mark.parametrize(
    ("answered", "other", "counts_for"),
    [
        ("minilm-l12", "minilm-l6", "lanes"),
        ("minilm-l12", "minilm-l2", "shadows"),
        ("minilm-l6", "minilm-l2", "shadows"),
    ],
)
async def test_an_agreement_counts_for_what_is_on_trial(
    switchboard: Switchboard, desk: Desk, meter: FakeMeter, answered: str, other: str, counts_for: str
) -> None:
    switchboard.agreed(ROUTE, answered, other, Agreement(0.9, 0.4, True))
    await switchboard.exchange(desk)
    sight = await desk.sight()
    tallies = {"lanes": sight.lanes, "shadows": sight.shadows}
    assert tallies[counts_for]["search", answered if counts_for == "lanes" else other].agreement == 0.4
    assert sum(map(len, tallies.values())) == 1
    assert meter.counted["rerank_agreement_same_way_total", "search", answered, other] == pytest.approx(0.7)
    assert meter.measured["rerank_agreement_overlap_at_10", "search", answered, other] == [0.9]
    assert meter.counted["rerank_agreement_first_total", "search", answered, other, "yes"] == 1


async def test_shadows_that_fail_are_told_and_those_that_are_dropped_are_not(
    switchboard: Switchboard, desk: Desk, meter: FakeMeter
) -> None:
    switchboard.shadowed(ROUTE, "minilm-l2", 20.0)
    switchboard.missed(ROUTE, "minilm-l2", "engine_failure")
    switchboard.missed(ROUTE, "minilm-l2", "dropped")
    await switchboard.exchange(desk)
    tally = (await desk.sight()).shadows["search", "minilm-l2"]
    assert (tally.requests, tally.failures) == (2, 1)
    for outcome in ("ok", "engine_failure", "dropped"):
        assert meter.counted["rerank_shadows_total", "search", "minilm-l2", outcome] == 1


async def test_the_worst_disagreements_are_told(switchboard: Switchboard, desk: Desk) -> None:
    for tau in (0.4, -0.9, 0.1, 0.3, -0.2, 0.2, 0.0, 0.45):
        switchboard.disagreed(Disagreement("search", "r", "a", "b", tau, "q", (), ()))
    await switchboard.exchange(desk)
    found = [each.tau for each in await desk.disagreements("search")]
    assert found == [-0.9, -0.2, 0.0, 0.1, 0.2]
    assert len(found) == TOLD_AT_ONCE


async def test_while_the_desk_is_away_the_routes_stay_and_it_is_said_once(
    switchboard: Switchboard, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve_app.router.switchboard.REPORT_EVERY_S", 0.001)
    desk = UnreachableDesk(None, FakeMeter(), FakeClock())
    await desk.declare(TABLE)
    with caplog.at_level(logging.WARNING):
        running = asyncio.create_task(switchboard.run(desk))
        await asyncio.sleep(0.05)
    assert caplog.text.count("the routes stay as they are") == 1
    assert switchboard.book == Book()
    desk.away = False
    await asyncio.sleep(0.05)
    assert switchboard.book.table == TABLE
    running.cancel()
