"""Wagers: fair at the edge of the claim whatever was before, and won soon when it is false."""

import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.router.wager import RESERVE, Wager

MEANS = st.lists(st.floats(0.0, 1.0), max_size=30)


def _after(means: Iterable[float], allowed: float, payoff: float = 6.0) -> Wager:
    wager = Wager(payoff)
    for mean in means:
        wager.see(mean, allowed)
    return wager


def _windows_until(wager: Wager, capital: float, means: Iterable[float], allowed: float) -> int:
    for window, mean in enumerate(means, 1):
        wager.see(mean, allowed)
        if wager.capital >= capital:
            return window
    raise AssertionError("it was never won")


@given(MEANS, st.floats(0.001, 0.9), st.floats(0.0, 1.0))
def test_no_gain_is_to_be_expected_where_the_claim_holds(before: list[float], allowed: float, spread: float) -> None:
    """A window is either 0 or high, with a mean of just what is allowed; which windows came before does not matter."""
    high = allowed + spread * (1 - allowed)
    chance = allowed / high
    expected = (
        chance * _after([*before, high], allowed).capital + (1 - chance) * _after([*before, 0.0], allowed).capital
    )
    assert expected <= _after(before, allowed).capital * (1 + 1e-9)


def test_it_begins_with_one_and_never_has_nothing() -> None:
    assert Wager(6.0).capital == pytest.approx(1.0)
    assert 0 < _after([0.0] * 50_000, 0.5).capital < 0.001


@pytest.mark.parametrize("payoff", [2.0, 6.0])
def test_few_true_claims_are_ever_given_up(payoff: float) -> None:
    """Of 1,000, in 300 windows each, and at 1 of 20 so that some are: Ville has at most 50."""
    chance, given_up = random.Random(3), 0
    for _ in range(1_000):
        wager = Wager(payoff)
        for _ in range(300):
            wager.see(chance.random() < 0.1, 0.1)
            if wager.capital >= 20:
                given_up += 1
                break
    assert 1 <= given_up <= 50


@pytest.mark.parametrize(
    ("mean", "allowed", "windows"), [(1.0, 0.01, 4), (1.0, 0.5, 13), (0.9, 0.4, 11), (0.04, 0.01, 7), (0.02, 0.01, 13)]
)
def test_a_false_claim_is_given_up_soon(mean: float, allowed: float, windows: int) -> None:
    assert _windows_until(Wager(6.0), 300, [mean] * 100, allowed) == windows


def test_single_windows_do_not_decide() -> None:
    for windows, payoff in ((3, 6.0), (5, 2.0)):
        assert _after([1.0] * windows, 0.001, payoff).capital < 300


def test_an_hour_of_good_windows_is_soon_overcome() -> None:
    wager = _after([0.0] * 3_600, 0.01)
    assert wager.capital < RESERVE
    assert _windows_until(wager, 300, [0.5] * 100, 0.01) <= 10


def test_a_bad_hour_is_soon_forgotten() -> None:
    wager = _after([1.0] * 3_600, 0.01)
    for _ in range(150):
        wager.see(0.0, 0.01)
    assert wager.capital < 300
