"""A route's ladder under load that comes, stays and goes: variants are queues here, with a pace each."""

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from serve_app.router.brownout import FIRST_HOLD_S, LONGEST_HOLD_S, Brownout
from serve_app.routes import Lane, Route
from tests.fakes import FakeClock

ROUTE = Route(name="search", lanes=(Lane(variant="l12", weight=1),), target_ms=200, ladder=("l6", "l2"))
PACES = (100.0, 300.0, 1_000.0)
"""Documents a second of each rung."""


@dataclass
class Simulation:
    """One route, requests of ten documents but for some of 500, and a queue for each rung."""

    clock: FakeClock = field(default_factory=FakeClock)
    busy_until: list[float] = field(default_factory=lambda: [0.0] * len(PACES))
    rungs: list[tuple[float, int]] = field(default_factory=list)
    """When each request came and which rung answered it."""
    late: list[tuple[float, bool]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.brownout = Brownout(self.clock)
        self.rng = random.Random(1)

    def run(self, seconds: float, rate: float, large: float = 0.0) -> None:
        """So many requests a second, of which this share is large."""
        until = self.clock.now + seconds
        while (now := self.clock.now + self.rng.expovariate(rate)) < until:
            self.clock.now = now
            self._request(500 if self.rng.random() < large else 10)
        self.clock.now = until

    def _request(self, documents: int) -> None:
        now = self.clock.now
        taking = [max(0.0, end - now) + documents / pace for end, pace in zip(self.busy_until, PACES, strict=True)]
        rung = self.brownout.rung(ROUTE, lambda rung: 1_000 * taking[rung])
        self.busy_until[rung] = now + taking[rung]
        self.rungs.append((now, rung))
        if documents == 10:
            self.late.append((now, taking[rung] > 0.2))

    def steps(self, since: float = 0.0) -> list[tuple[int, int]]:
        """From which rung to which, one after the other."""
        found = [rung for at, rung in self.rungs if at >= since]
        return [(a, b) for a, b in itertools.pairwise(found) if a != b]


@pytest.fixture
def simulation() -> Simulation:
    return Simulation()


def test_a_route_that_keeps_its_target_stays_on_its_lanes(simulation: Simulation) -> None:
    simulation.run(120, rate=5)
    assert not simulation.steps()


def test_a_load_that_lasts_is_met_on_a_lower_rung_without_flapping(simulation: Simulation) -> None:
    simulation.run(30, rate=5)
    began = simulation.clock.now
    simulation.run(300, rate=20)
    assert {rung for at, rung in simulation.rungs if at > began + 10} <= {0, 1}
    # 5 s, 10 s, 20 s, 40 s, 80 s and so on until the next trial: six or so in five minutes, each two steps.
    assert len(simulation.steps(began)) <= 14
    late = [was_late for at, was_late in simulation.late if at > began + 5]
    assert sum(late) / len(late) < 0.15


def test_a_load_beyond_the_next_rung_goes_two_rungs_down(simulation: Simulation) -> None:
    simulation.run(60, rate=60)
    assert simulation.rungs[-1][1] == 2


def test_when_the_load_is_gone_the_lanes_answer_again_soon(simulation: Simulation) -> None:
    simulation.run(20, rate=20)
    simulation.run(30, rate=2)
    began = simulation.clock.now - 30
    back = next(at for at, rung in simulation.rungs if at > began and rung == 0)
    assert back - began < 4 * FIRST_HOLD_S
    assert simulation.rungs[-1][1] == 0


@pytest.mark.parametrize("lasted_s", [60, 600])
def test_however_long_it_lasted_a_load_that_is_gone_is_not_waited_for(simulation: Simulation, lasted_s: float) -> None:
    simulation.run(lasted_s, rate=20)
    began = simulation.clock.now
    simulation.run(60, rate=3)
    back = next(at for at, rung in simulation.rungs if at > began and rung == 0)
    assert back - began < 2 * FIRST_HOLD_S
    assert all(rung == 0 for at, rung in simulation.rungs if at > back)


def test_a_trial_that_holds_makes_the_next_trouble_a_first_one(simulation: Simulation) -> None:
    simulation.run(100, rate=20)
    simulation.run(300, rate=2)
    simulation.run(2, rate=20)
    began = simulation.clock.now
    simulation.run(20, rate=2)
    assert next(at for at, rung in simulation.rungs if at > began and rung == 0) - began < 3 * FIRST_HOLD_S


def test_large_requests_move_nobody_else(simulation: Simulation) -> None:
    """Each takes 5 s on the lanes; there are few enough that the small ones between them are in time."""
    brownout, clock = Brownout(simulation.clock), simulation.clock
    found = []
    for number in range(200):
        clock.now += 0.05
        found.append(brownout.rung(ROUTE, lambda _, large=number % 5 == 0: 5_000.0 if large else 50.0))  # type: ignore[misc]
    assert set(found) == {0}


def _rungs(times_ms: Sequence[float], every_s: float, route: Route = ROUTE) -> list[int]:
    clock = FakeClock()
    brownout = Brownout(clock)
    found = []
    for time_ms in times_ms:
        clock.now += every_s
        found.append(brownout.rung(route, lambda _, ms=time_ms: ms))  # type: ignore[misc]
    return found


def test_one_rung_at_a_time_and_never_beyond_the_last() -> None:
    found = _rungs([500.0] * 100, 0.1)
    assert found[-1] == 2
    assert [found.index(rung) for rung in (0, 1, 2)] == sorted({found.index(rung) for rung in (0, 1, 2)})
    assert found.index(2) - found.index(1) >= 9  # a second


def test_without_a_target_or_a_ladder_nothing_steps() -> None:
    lanes = (Lane(variant="l12", weight=1),)
    assert set(_rungs([500.0] * 50, 0.1, Route(name="plain", lanes=lanes))) == {0}
    assert set(_rungs([500.0] * 50, 0.1, Route(name="plain", lanes=lanes, target_ms=100))) == {0}


def test_a_ladder_that_becomes_shorter_is_climbed_at_once() -> None:
    clock = FakeClock()
    brownout = Brownout(clock)
    for _ in range(100):
        clock.now += 0.1
        brownout.rung(ROUTE, lambda _: 500.0)
    shorter = ROUTE.model_copy(update={"ladder": ("l6",)})
    assert brownout.rung(shorter, lambda _: 500.0) == 1


def test_the_hold_has_an_end(simulation: Simulation) -> None:
    simulation.run(2_000, rate=20)
    trials = [
        at for (at, rung), (_, before) in zip(simulation.rungs[1:], simulation.rungs, strict=False) if rung < before
    ]
    gaps = [b - a for a, b in itertools.pairwise(trials)]
    assert len(gaps) > 10
    assert max(gaps) < 2 * LONGEST_HOLD_S  # one that fell two rungs has to climb both
