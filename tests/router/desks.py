"""Seconds of a canary beside a good baseline, told to a desk, for tests that look what it makes of them."""

from serve_app.router.book import Book
from serve_app.router.desk import Desk
from serve_app.router.reports import Report
from serve_app.router.tally import Tally
from serve_app.routes import GuardLimits, Lane, Route, RouteTable
from tests.fakes import FakeClock

ROUTE = Route(name="search", lanes=(Lane(variant="old", weight=1),))
CANARY = ROUTE.with_canary("new", 10, GuardLimits(min_observations=20))
DECLARED = RouteTable().with_route(ROUTE)


def tally(answers: int = 0, failures: int = 0, milliseconds: float = 50.0, taus: tuple[float, ...] = ()) -> Tally:
    made = Tally()
    for number in range(answers):
        made.answered(milliseconds + number % 7)
    for _ in range(failures):
        made.failed()
    for tau in taus:
        made.agreed(tau)
    return made


async def windows(desk: Desk, clock: FakeClock, number: int, canary: Tally) -> Book | None:
    """The book, if it changed: so many seconds of a good baseline and such a canary, told by two routers."""
    for _ in range(number):
        clock.now += 1.0
        version = (await desk.sight()).book.version
        for half in (Report("r1", {("search", "old"): tally(90)}), Report("r1", {("search", "new"): canary})):
            if (book := await desk.report(half, version)) is not None:
                return book
    return None
