from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from loadtest.arrivals import Arrivals, Due, Steps

READ: TypeAdapter[Arrivals] = TypeAdapter(Arrivals)
RATES = st.floats(0.5, 40)
PATTERNS = st.one_of(
    st.builds(lambda rate: {"pattern": "constant", "rate": rate}, RATES),
    st.builds(lambda rate: {"pattern": "poisson", "rate": rate}, RATES),
    st.builds(lambda start, to: {"pattern": "ramp", "from": start, "to": to}, st.just(0.0) | RATES, RATES),
    st.builds(
        lambda rates: {"pattern": "steps", "steps": [{"name": "s", "rate": r, "seconds": 3.0} for r in rates]},
        st.lists(st.just(0.0) | RATES, min_size=1, max_size=4),
    ),
    st.builds(
        lambda rate, burst: {"pattern": "burst", "rate": rate, "burst_rate": burst, "every": 4.0, "for": 1.0},
        RATES,
        RATES,
    ),
)


def dues(told: dict[str, Any], seconds: float, seed: int = 0) -> list[float]:
    return [due.at for due in READ.validate_python(told).dues(seconds, seed)]


def within(times: list[float], begins: float, ends: float) -> int:
    return sum(begins <= at < ends for at in times)


def near(expected: float) -> Any:
    """Four standard deviations of a Poisson number."""
    return pytest.approx(expected, abs=4 * expected**0.5)


@given(PATTERNS, st.floats(1, 20), st.integers(0, 9))
def test_requests_are_due_in_order_within_the_time_and_the_same_for_a_seed(
    told: dict[str, Any], seconds: float, seed: int
) -> None:
    times = dues(told, seconds, seed)
    assert times == sorted(times)
    assert all(0 <= at < seconds for at in times)
    assert times == dues(told, seconds, seed)


@given(PATTERNS, st.sampled_from([0.5, 2.0]))
def test_what_is_scaled_has_so_many_times_the_requests(told: dict[str, Any], by: float) -> None:
    arrivals = READ.validate_python(told)
    times = 1.0 if told["pattern"] in {"constant", "poisson"} else by  # of those the rate itself is told
    scaled = arrivals.scaled(by * told["rate"] if times == 1.0 else by)
    expected = by * sum(len(list(arrivals.dues(12.0, seed))) for seed in range(10))
    found = sum(len(list(scaled.dues(12.0, seed))) for seed in range(10))
    assert found == pytest.approx(expected, abs=10 + 6 * expected**0.5)


def test_constant_arrivals_are_evenly_apart() -> None:
    assert dues({"pattern": "constant", "rate": 4}, 1.1) == [0, 0.25, 0.5, 0.75, 1.0]


def test_a_ramp_that_begins_at_nothing_has_a_quarter_of_its_requests_in_the_first_half() -> None:
    times = dues({"pattern": "ramp", "from": 0, "to": 100}, 100)
    assert len(times) == near(5_000)
    assert within(times, 0, 50) == near(1_250)


def test_each_step_has_its_own_rate() -> None:
    steps = [{"name": str(rate), "rate": rate, "seconds": 20} for rate in (20, 0, 80)]
    times = dues({"pattern": "steps", "steps": steps}, 60)
    assert [within(times, 0, 20), within(times, 20, 40), within(times, 40, 60)] == [near(400), 0, near(1_600)]


def test_steps_stretch_to_any_length() -> None:
    steps = [{"name": "a", "rate": 1, "seconds": 10}, {"name": "b", "rate": 2, "seconds": 30}]
    stretched = Steps.model_validate({"pattern": "steps", "steps": steps}).stretched(8)
    assert [(step.name, step.rate, step.seconds) for step in stretched.steps] == [("a", 1, 2), ("b", 2, 6)]


def test_bursts_come_at_the_end_of_each_period() -> None:
    times = dues({"pattern": "burst", "rate": 5, "burst_rate": 100, "every": 20, "for": 4}, 60)
    for began in (0, 20, 40):
        assert within(times, began, began + 16) == near(80)
        assert within(times, began + 16, began + 20) == near(400)


def test_a_trace_is_replayed_from_its_first_line_on(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("# seconds,documents\n100.5,30\n100,10\n\n102\n")
    replayed = READ.validate_python({"pattern": "replay", "trace": "trace.csv"}, context={"folder": tmp_path})
    assert list(replayed.dues(60, 0)) == [Due(0, 10), Due(0.5, 30), Due(2.0, None)]
    assert list(replayed.scaled(2).dues(1.0, 0)) == [Due(0, 10), Due(0.25, 30)]


def test_a_trace_that_is_none_says_where(tmp_path: Path) -> None:
    trace = tmp_path / "trace.csv"
    trace.write_text("1,10\nsoon\n")
    with pytest.raises(ValueError, match=r"trace.csv, line 2: wanted seconds\[,documents\], found 'soon'"):
        list(READ.validate_python({"pattern": "replay", "trace": str(trace)}).dues(60, 0))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"burst_rate": 0}, r"burst\.burst_rate\s.*greater than 0"),
        ({"rate": -1}, r"burst\.rate\s.*greater than or equal to 0"),
        ({"for": 20}, r"burst\.for\s.*a burst has to end before the next one"),
    ],
)
def test_a_burst_that_makes_no_sense_is_refused(change: dict[str, Any], sentence: str) -> None:
    told = {"pattern": "burst", "rate": 1, "burst_rate": 9, "every": 20, "for": 1}
    assert READ.validate_python(told)
    with pytest.raises(ValidationError, match=sentence):
        READ.validate_python({**told, **change})
