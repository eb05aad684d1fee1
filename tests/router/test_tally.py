"""Tallies: what goes in comes out of the histogram near enough, wherever it was added up."""

import math
import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.router.tally import LAST_BUCKET, Latencies, Tally

MILLISECONDS = st.floats(1.0, 299_000.0)


def _latencies(*milliseconds: float) -> Latencies:
    latencies = Latencies()
    for each in milliseconds:
        latencies.add(each)
    return latencies


@given(MILLISECONDS)
def test_a_latency_comes_out_within_a_fortieth(milliseconds: float) -> None:
    assert _latencies(milliseconds).quantile_ms(0.5) == pytest.approx(milliseconds, rel=0.025)


@pytest.mark.parametrize(
    ("milliseconds", "bucket"), [(-1.0, 0), (0.0, 0), (0.3, 0), (1.0, 0), (300_000.0, LAST_BUCKET), (1e9, LAST_BUCKET)]
)
def test_what_is_beyond_is_in_the_first_or_the_last(milliseconds: float, bucket: int) -> None:
    assert _latencies(milliseconds).counts == {bucket: 1}


@pytest.mark.parametrize(
    ("count", "quantile", "rank"),
    [(1, 0.5, 1), (2, 0.5, 2), (3, 0.5, 2), (99, 0.5, 50), (10, 0.99, 10), (99, 0.99, 99), (100, 0.99, 100),
     (199, 0.99, 198), (100, 0.0, 1)],
)  # fmt: skip
def test_a_quantile_is_the_one_of_its_rank(count: int, quantile: float, rank: int) -> None:
    """Of latencies that are 10 % apart, so that each has a bucket of its own."""
    milliseconds = [1.1**each for each in range(1, 100)] * (1 + count // 100)
    milliseconds = sorted(milliseconds)[:count] if count < 100 else sorted(milliseconds[:count])
    assert _latencies(*milliseconds).quantile_ms(quantile) == pytest.approx(milliseconds[rank - 1], rel=0.025)


def test_one_more_of_the_same_kind_is_above_a_p99_of_few_at_most_once_in_a_hundred() -> None:
    chance, above = random.Random(3), 0
    for _ in range(3_000):
        usual = _latencies(*(chance.lognormvariate(4, 1) for _ in range(100))).quantile_ms(0.99)
        assert usual is not None
        above += chance.lognormvariate(4, 1) > usual
    assert above / 3_000 == pytest.approx(0.01, abs=0.005)  # with the rank 99 of 100, 0.02


def test_nothing_has_no_quantile_and_nothing_above() -> None:
    assert Latencies().quantile_ms(0.5) is None
    assert Latencies().share_above(10.0) == 0.0


@given(st.lists(MILLISECONDS, min_size=1, max_size=40), MILLISECONDS)
def test_the_share_above_is_never_too_large_and_misses_a_bucket_at_most(each: list[float], threshold: float) -> None:
    share = _latencies(*each).share_above(threshold)
    assert share <= sum(milliseconds >= threshold * 0.999999 for milliseconds in each) / len(each)
    assert share >= sum(milliseconds > threshold * 1.05001 for milliseconds in each) / len(each)


@pytest.mark.parametrize(("threshold", "share"), [(90.0, 1.0), (98.0, 1.0), (99.0, 0.0), (101.0, 0.0), (110.0, 0.0)])
def test_the_bucket_that_the_threshold_is_in_is_not_above(threshold: float, share: float) -> None:
    """100 ms are in the one from 98.1 to 103.0."""
    assert _latencies(100.0).share_above(threshold) == share


def test_faded_latencies_count_less_beside_new_ones() -> None:
    old, new = _latencies(*[10.0] * 10), _latencies(*[1_000.0] * 6)
    assert (old + new).quantile_ms(0.5) == pytest.approx(10.0, rel=0.025)
    assert (old.faded(0.5) + new).quantile_ms(0.5) == pytest.approx(1_000.0, rel=0.025)
    assert old.faded(0.0).counts == {}


def _tally(*answered: float, failures: int = 0, taus: tuple[float, ...] = ()) -> Tally:
    tally = Tally()
    for milliseconds in answered:
        tally.answered(milliseconds)
    for _ in range(failures):
        tally.failed()
    for tau in taus:
        tally.agreed(tau)
    return tally


PARTS = st.tuples(
    st.lists(MILLISECONDS, max_size=9), st.integers(0, 5), st.lists(st.integers(-4, 4).map(lambda n: n / 4), max_size=5)
)


@given(PARTS, PARTS)
def test_added_up_it_is_as_if_one_had_seen_it_all(
    one: tuple[list[float], int, list[float]], other: tuple[list[float], int, list[float]]
) -> None:
    apart = [_tally(*answered, failures=failures, taus=tuple(taus)) for answered, failures, taus in (one, other)]
    before = pickle.dumps(apart)
    whole = _tally(*one[0], *other[0], failures=one[1] + other[1], taus=(*one[2], *other[2]))
    assert apart[0] + apart[1] == sum(apart, Tally()) == whole
    assert pickle.dumps(apart) == before  # nothing is added to a part


def test_figures_to_show() -> None:
    tally = _tally(*[20.0] * 90, *[400.0] * 6, failures=4, taus=(1.0, 0.5))
    assert (tally.requests, tally.error_rate, tally.agreement) == (100, 0.04, 0.75)
    assert tally.p50_ms == pytest.approx(20.0, rel=0.025)
    assert tally.p99_ms == tally.quantile_ms(0.99) == pytest.approx(400.0, rel=0.025)


def test_of_nothing_there_are_no_figures() -> None:
    empty = Tally()
    assert empty.requests == 0
    assert [empty.error_rate, empty.agreement, empty.p50_ms, empty.p99_ms] == [None] * 4


@pytest.mark.parametrize("tau", [1.01, -1.01, math.nan, math.inf])
def test_what_is_no_tau_is_refused(tau: float) -> None:
    tally = Tally()
    with pytest.raises(ValueError, match="Kendall's tau is from -1 to 1"):
        tally.agreed(tau)
    assert tally == Tally()


def test_it_crosses_to_another_process_small() -> None:
    chance = random.Random(3)
    tally = _tally(*(chance.lognormvariate(4, 1) for _ in range(10_000)), failures=7, taus=(0.5,))
    pickled = pickle.dumps(tally)
    assert pickle.loads(pickled) == tally
    assert len(pickled) < 1_000
