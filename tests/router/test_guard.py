"""The guard before made-up lanes: what is worse it aborts soon, and what is as good it lets be in surges and bursts."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from statistics import median

import pytest

from serve_app.router.guard import Breach, Guard, Limit
from serve_app.router.tally import Tally
from serve_app.routes import GuardLimits
from tests.router.simulated_lanes import Ways, World

BAD = {
    Limit.ERRORS: Ways(error_rate=0.05),
    Limit.LATENCY: Ways(median_ms=80.0),
    Limit.AGREEMENT: Ways(tau=-0.75),
}


@dataclass
class Trial:
    """Canaries of one kind, each for ten minutes or until it is aborted."""

    breaches: list[tuple[int, Breach]]
    """With the window of each."""
    canaries: int

    @classmethod
    def of(cls, world: World, canary: Ways, canaries: int) -> "Trial":
        runs = (_first_breach(Guard(GuardLimits()), world.windows(canary, run)) for run in range(canaries))
        return cls([breach for breach in runs if breach], canaries)

    @property
    def aborted(self) -> float:
        return len(self.breaches) / self.canaries

    @property
    def median_windows(self) -> float:
        return median(window for window, _ in self.breaches)

    def share_of(self, limit: Limit) -> float:
        return sum(breach.limit == limit for _, breach in self.breaches) / self.canaries


def _first_breach(guard: Guard, windows: Iterator[tuple[Tally, Tally]]) -> tuple[int, Breach] | None:
    for window, (canary, baseline) in enumerate(windows, 1):
        if breach := guard.observe(canary, baseline):
            return window, breach
    return None


@pytest.mark.slow
@pytest.mark.parametrize("world", [World(), World(100, 0.5)], ids=["5% of 20/s", "50% of 100/s"])
def test_a_thousand_that_are_as_good_are_let_be(world: World) -> None:
    trial = Trial.of(world, Ways(), 1_000 if world == World() else 150)
    print(f"aborted {trial.aborted:.1%} of {trial.canaries}")  # noqa: T201
    assert trial.aborted <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize(("limit", "windows"), [(Limit.ERRORS, 210), (Limit.LATENCY, 210), (Limit.AGREEMENT, 150)])
def test_of_a_thousand_bad_ones_ninety_nine_of_a_hundred_are_aborted(limit: Limit, windows: int) -> None:
    trial = Trial.of(World(), BAD[limit], 1_000)
    print(f"{limit}: aborted {trial.aborted:.1%}, in {trial.median_windows} s at the median")  # noqa: T201
    assert trial.share_of(limit) >= 0.99
    assert trial.median_windows <= windows


def test_those_that_are_as_good_are_let_be() -> None:
    assert Trial.of(World(), Ways(), 30).aborted == 0
    assert Trial.of(replace(World(100, 0.5), sigma=1.0), Ways(), 8).aborted == 0


@pytest.mark.parametrize("limit", Limit)
def test_bad_ones_are_aborted(limit: Limit) -> None:
    trial = Trial.of(World(), BAD[limit], 60)
    assert trial.share_of(limit) >= 0.98
    assert trial.median_windows <= 220


@pytest.mark.parametrize(
    ("world", "canary", "windows"),
    [
        (World(), Ways(error_rate=0.5), 56),  # the 50 requests that it takes are 50 windows
        (World(), Ways(median_ms=400.0), 56),
        (World(10, 0.2), Ways(error_rate=0.5), 30),
        (World(10, 0.2), Ways(median_ms=400.0), 30),
        (World(100, 0.05), Ways(error_rate=0.5), 14),
        (World(100, 0.5), Ways(error_rate=0.5), 14),
        (World(100, 0.5), Ways(median_ms=400.0), 13),
        (World(100, 0.5), Ways(tau=-0.75), 14),
        (World(100, 0.5), Ways(stuck=0.05), 40),
    ],
)
def test_clear_cases_are_aborted_soon(world: World, canary: Ways, windows: int) -> None:
    trial = Trial.of(world, canary, 20)
    assert trial.aborted == 1
    assert trial.median_windows <= windows


def test_a_canary_that_turns_bad_late_is_aborted_too() -> None:
    good = World().windows(Ways(), 1)
    guard = Guard(GuardLimits())
    assert _first_breach(guard, good) is None
    breach = _first_breach(guard, World().windows(Ways(error_rate=0.5), 2))
    assert breach is not None
    assert breach[0] < 30
