"""Each limit of the guard alone, before windows of which one knows what is to be said."""

import re
from collections.abc import Callable, Iterable

import pytest

from serve_app.router.guard import Breach, Guard, Limit
from serve_app.router.tally import Tally
from serve_app.routes import GuardLimits


def _tally(answered: int = 0, failures: int = 0, milliseconds: float = 40.0, taus: tuple[float, ...] = ()) -> Tally:
    tally = Tally(failures=failures)
    for _ in range(answered):
        tally.answered(milliseconds)
    for tau in taus:
        tally.agreed(tau)
    return tally


def _judged(limits: GuardLimits, canary: Tally, baseline: Tally, windows: int = 100) -> tuple[int, Breach] | None:
    return _first_breach(Guard(limits), [(canary, baseline)] * windows)


def _first_breach(guard: Guard, windows: Iterable[tuple[Tally, Tally]]) -> tuple[int, Breach] | None:
    """And the window in which it is told."""
    seen = ((window, guard.observe(*both)) for window, both in enumerate(windows, 1))
    return next(((window, breach) for window, breach in seen if breach), None)


GOOD = _tally(20)
UNWATCHED = GuardLimits(max_error_rate=None, max_latency_ratio=None, min_agreement=None)
WORSE = {
    Limit.ERRORS: _tally(10, failures=10),
    Limit.LATENCY: _tally(20, milliseconds=90.0),
    Limit.AGREEMENT: _tally(20, taus=(-0.5,)),
}
WATCHED = {
    Limit.ERRORS: UNWATCHED.model_copy(update={"max_error_rate": 0.01}),
    Limit.LATENCY: UNWATCHED.model_copy(update={"max_latency_ratio": 1.5}),
    Limit.AGREEMENT: UNWATCHED.model_copy(update={"min_agreement": 0.2}),
}


@pytest.mark.parametrize("worse", Limit)
@pytest.mark.parametrize("watched", Limit)
def test_only_what_is_watched_is_breached(worse: Limit, watched: Limit) -> None:
    guard = Guard(WATCHED[watched])
    breach = _first_breach(guard, [(WORSE[worse], GOOD)] * 100)
    assert (breach is not None) == (worse == watched)
    assert set(guard.evidence) == {watched}
    assert breach is None or breach[1].limit == watched


def test_without_limits_nothing_is_watched() -> None:
    awful = _tally(10, failures=10, milliseconds=9_000.0, taus=(-1.0,))
    assert _judged(UNWATCHED, awful, GOOD) is None
    assert Guard(UNWATCHED).evidence == {}


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        (Limit.ERRORS, "fails 50 % of its last 260 requests, the baseline 0 %; at most 1 % is allowed"),
        (Limit.LATENCY, "its p99 is 91 ms over its last 140 requests, the baseline's 40 ms: 2.3 times as long; "
                        "at most 1.5 times is allowed"),
        (Limit.AGREEMENT, "orders documents otherwise than the baseline: a Kendall's tau of -0.50 over its last 14 "
                          "comparisons; at least 0.2 is asked for"),
    ],
)  # fmt: skip
def test_a_person_is_told_what_was_seen(limit: Limit, sentence: str) -> None:
    breach = _judged(GuardLimits(), WORSE[limit], GOOD)
    assert breach is not None
    assert breach[1] == Breach(limit, sentence)


@pytest.mark.parametrize("limit", [Limit.ERRORS, Limit.LATENCY])
@pytest.mark.parametrize("least", [1, 50, 400])
def test_errors_and_latencies_count_from_the_least_of_observations_on(limit: Limit, least: int) -> None:
    limits = GuardLimits(min_observations=least)
    breach = _judged(limits, WORSE[limit], GOOD)
    soonest = _judged(GuardLimits(min_observations=1), WORSE[limit], GOOD)
    assert breach is not None
    assert soonest is not None
    assert breach[0] == max(soonest[0], -(-least // 20))


def test_agreement_counts_from_five_comparisons_on() -> None:
    strict = GuardLimits(min_agreement=0.95, min_observations=10_000)
    breach = _judged(strict, _tally(1, taus=(-1.0,)), GOOD)
    assert breach is not None
    assert breach[0] == 5


def test_inverted_scores_take_few_comparisons() -> None:
    breach = _judged(GuardLimits(), _tally(1, taus=(-0.9,)), GOOD)
    assert breach is not None
    assert breach[0] <= 11


@pytest.mark.parametrize(
    ("canary", "baseline"),
    [
        (_tally(10, failures=10), _tally(10, failures=10)),  # both fail
        (_tally(18, failures=2), _tally(170, failures=20)),  # the baseline a little more
        (_tally(failures=20), _tally(failures=20)),
        (_tally(20, milliseconds=9_000.0), _tally(20, milliseconds=9_000.0)),  # both are slow
        (_tally(20, milliseconds=55.0), GOOD),  # slower, within the ratio
        (_tally(20, milliseconds=5.0), GOOD),
        (_tally(20), _tally(20, failures=20)),  # only the baseline fails
        (_tally(10, failures=10, milliseconds=9_000.0), Tally()),  # nothing to compare with
        (_tally(20, milliseconds=9_000.0), _tally(failures=20)),
        (Tally(), GOOD),
        (Tally(), _tally(failures=20)),
        (Tally(), Tally()),
        (_tally(20, taus=(0.2,)), GOOD),  # just what is asked for
        (_tally(20, taus=(1.0, -0.5)), GOOD),
    ],
)
def test_what_is_no_worse_than_allowed_is_let_be(canary: Tally, baseline: Tally) -> None:
    assert _judged(GuardLimits(), canary, baseline, windows=1_000) is None


def test_fewer_errors_than_allowed_are_let_be_however_good_the_baseline_is() -> None:
    windows = ((_tally(200, failures=window % 2), _tally(200)) for window in range(500))
    assert _first_breach(Guard(GuardLimits()), windows) is None


@pytest.mark.parametrize("slow", [2.0, 20.0])
def test_a_surge_that_both_feel_is_no_breach(slow: float) -> None:
    """Of a minute, with two requests a second of the baseline, so that it takes a while to see what is usual now."""
    guard = Guard(GuardLimits(min_observations=1))
    for window in range(900):
        milliseconds = 40.0 * (slow if window % 300 > 240 else 1.0)
        assert guard.observe(_tally(2, milliseconds=milliseconds), _tally(2, milliseconds=milliseconds)) is None


def test_a_latency_is_not_judged_before_the_baseline_has_answered_enough() -> None:
    breach = _judged(GuardLimits(min_observations=1), _tally(1, milliseconds=9_000.0), _tally(1), windows=300)
    assert breach is not None
    assert breach[0] > 100


@pytest.mark.parametrize("make", [lambda: _tally(failures=30), lambda: _tally(30, milliseconds=9_000.0)])
def test_three_stalled_windows_are_no_breach(make: Callable[[], Tally]) -> None:
    guard = Guard(GuardLimits())
    for _ in range(3):
        for canary in (*[GOOD] * 600, *[make()] * 3):
            assert guard.observe(canary, _tally(100)) is None


def test_three_windows_in_which_all_fails_are_no_breach_even_of_a_small_lane_that_begins() -> None:
    guard = Guard(GuardLimits())
    seen = [guard.observe(_tally(failures=30), _tally(1_000)) is not None for _ in range(5)]
    assert seen[:3] == [False] * 3
    assert seen[-1]


def test_a_canary_may_stall_as_often_as_the_baseline_does() -> None:
    """Each in one window of 20, and never in the same."""
    usual, stalled = _tally(50), _tally(50, milliseconds=400.0)
    windows = (
        (stalled if window % 20 == 10 and window > 20 else usual, stalled if window % 20 == 0 else usual)
        for window in range(1, 1_000)
    )
    assert _first_breach(Guard(GuardLimits()), windows) is None


def test_what_the_baseline_was_like_is_no_measure_once_it_has_no_traffic() -> None:
    windows = [*[(GOOD, GOOD)] * 100, *[(WORSE[Limit.LATENCY], Tally())] * 100]
    assert _first_breach(Guard(GuardLimits()), windows) is None


def test_evidence_grows_to_a_breach_and_goes() -> None:
    guard, seen = Guard(GuardLimits()), []
    while not guard.observe(WORSE[Limit.LATENCY], GOOD):
        seen.append(guard.evidence[Limit.LATENCY])
    assert seen == sorted(seen)
    assert seen[0] == 0.0
    assert 0.5 < seen[-1] < 1.0
    assert guard.evidence[Limit.LATENCY] == 1.0
    for _ in range(300):
        guard.observe(GOOD, GOOD)
    assert guard.evidence == {Limit.ERRORS: 0.0, Limit.LATENCY: 0.0, Limit.AGREEMENT: 0.0}


def test_a_person_is_told_of_the_bad_time_and_not_of_the_good_one_before() -> None:
    guard = Guard(GuardLimits())
    for _ in range(1_000):
        assert guard.observe(GOOD, GOOD) is None
    breach = _first_breach(guard, [(WORSE[Limit.ERRORS], GOOD)] * 60)
    assert breach is not None
    told = re.match(r"fails ([\d.]+) % of its last (\d+) requests", breach[1].sentence)
    assert told is not None
    assert float(told[1]) == 50.0
    assert int(told[2]) < 20 * 30
