"""How far down a route's ladder requests are answered: what one would take on each rung comes in, a rung goes out.

Down by one rung where most recent requests are predicted to take longer than the route's target; up by one where nearly
all are predicted to keep it, with a margin, on the rung above. That rung has had nothing to do and looks idle, so under
a load that lasts going up is a trial: a trial that fails doubles the time until the next, while there is as much to do.
Requests differ in size, and shares of recent ones are looked at, so that one of 10,000 documents moves nobody else.

Pure: the clock is an argument. Rung 0 is the route's lanes; it knows neither variants nor why a time is what it is.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from serve_app.routes import Route

MOST = 0.5
"""Share of recent requests that are late, from which on the route steps down."""
FEW = 0.1
"""Share of them that would be late on the rung above, up to which it steps up."""
MARGIN = 0.7
"""Of the target, that the rung above has to keep: with the route's load on it, it will take longer than now."""
HALF_LIFE_S = 1.0
"""In which what was seen counts half: under load dozens of requests, without much the last one."""
LEAST_WEIGHT = 0.02
"""Of one request, however soon it follows the last: of thousands a second the last fifty decide."""
STEP_EVERY_S = 1.0
"""Between two steps: the first has to show in what is predicted."""
FIRST_HOLD_S = 5.0
"""Without trouble on a rung before the one above is tried."""
LONGEST_HOLD_S = 120.0
ROOM = 0.5
"""Seconds of work a second for the rung above, up to which it has room: then a long hold is not waited out. With more
replicas than one it has more room than that, and the hold is as long as ever."""


@dataclass(slots=True)
class _Standing:
    """Of one route."""

    seen: float
    """When the last request came."""
    rung: int = 0
    stepped: float = -LONGEST_HOLD_S
    """When."""
    tried: float = -2 * LONGEST_HOLD_S
    """When it last stepped up."""
    hold_s: float = FIRST_HOLD_S
    late: float = 0.0
    """Share of recent requests that are late on this rung."""
    late_above: float = 1.0
    """And on the rung above."""
    work_above: float = 0.0
    """What recent requests would be to do for the rung above, in seconds, the less of it the longer ago."""

    @property
    def needed_s(self) -> float:
        """How long this rung has to be without trouble before the one above is tried."""
        return min(self.hold_s, FIRST_HOLD_S) if self.work_above * math.log(2) / HALF_LIFE_S < ROOM else self.hold_s

    def see(self, late: bool, late_above: bool, above_s: float, now: float) -> None:
        """One more request."""
        self.work_above = self.work_above * 0.5 ** ((now - self.seen) / HALF_LIFE_S) + above_s
        weight = max(LEAST_WEIGHT, 1 - 0.5 ** ((now - self.seen) / HALF_LIFE_S))
        self.late += weight * (late - self.late)
        self.late_above += weight * (late_above - self.late_above)
        self.seen = now

    def step(self, by: int, now: float) -> None:
        """To another rung, of which nothing is known yet."""
        if by < 0:
            self.tried = now
        else:
            failed = now - self.tried < 2 * self.hold_s
            self.hold_s = min(LONGEST_HOLD_S, 2 * self.hold_s) if failed else FIRST_HOLD_S
        self.rung += by
        self.stepped = now
        self.late, self.late_above, self.work_above = 0.0, 1.0, 0.0


class Brownout:
    """The rungs that one router's routes are on."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._routes: dict[str, _Standing] = {}

    def rung(self, route: Route, predicted_ms: Callable[[int], float]) -> int:
        """The rung that answers a request; `predicted_ms` is what the request would take on each."""
        if route.target_ms is None:
            return 0
        now = self._clock()
        standing = self._routes.setdefault(route.name, _Standing(now))
        standing.rung = min(standing.rung, len(route.ladder))  # it may have become shorter
        late = predicted_ms(standing.rung) > route.target_ms
        above_ms = predicted_ms(standing.rung - 1) if standing.rung else 0.0
        standing.see(late, above_ms > MARGIN * route.target_ms, above_ms / 1_000, now)
        if standing.late > MOST and standing.rung < len(route.ladder) and now - standing.stepped >= STEP_EVERY_S:
            standing.step(1, now)
        elif standing.rung and standing.late_above < FEW and now - standing.stepped >= standing.needed_s:
            standing.step(-1, now)
        return standing.rung
