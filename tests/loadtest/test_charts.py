"""Axes, charts and timelines: where values are placed, and what is drawn of them."""

from xml.etree import ElementTree as Tree

import pytest

from loadtest.axes import Axis, above, linear, logarithmic, nines, seconds
from loadtest.charts import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, Series, draw
from loadtest.percentiles import curve
from loadtest.timeline import tick_seconds, timeline
from tests.loadtest.runs import run, sample

TEN = linear("requests/s", [10])
UNIT = Axis("time, s", 0, 1, [(0, "0"), (1, "1")])
BOUNDS = (LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, TOP)


def written(axis: Axis) -> list[str]:
    return [words for _, words in axis.ticks]


def drawn(*series: Series, **more: object) -> Tree.Element:
    return Tree.fromstring(draw(Chart("A & B", UNIT, TEN, series, **more)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([10.0], ["0", "2", "4", "6", "8", "10"]),
        ([11.0, 3.0], ["0", "2.5", "5", "7.5", "10", "12.5"]),
        ([2_300.0], ["0", "500", "1,000", "1,500", "2,000", "2,500"]),
        ([0.0], ["0", "0.2"]),
        ([], ["0", "0.2"]),
    ],
)
def test_a_linear_axis_has_round_ticks_from_nothing(values: list[float], ticks: list[str]) -> None:
    assert written(linear("any", values)) == ticks


def test_what_comes_whole_is_marked_whole() -> None:
    assert written(linear("replicas", [2], whole=True)) == ["0", "1", "2"]
    assert written(linear("replicas", [12], whole=True)) == ["0", "3", "6", "9", "12"]
    assert written(linear("replicas", [], whole=True)) == ["0", "1"]


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([30.0, 400.0], ["20", "50", "100", "200", "500"]),
        ([3.0, 60_000.0], ["10", "100", "1,000", "10,000", "100,000"]),
        ([50.0], ["50", "100"]),
        ([], ["1", "2", "5", "10"]),
        ([0.0], ["1", "2", "5", "10"]),
    ],
)
def test_a_logarithmic_axis_has_round_ends(values: list[float], ticks: list[str]) -> None:
    assert written(logarithmic("any", values)) == ticks


@pytest.mark.parametrize(("value", "place"), [(1, 0), (10, 0.5), (100, 1), (0.5, 0), (1_000, 1)])
def test_a_logarithmic_axis_places_by_ratios_and_keeps_what_lies_outside(value: float, place: float) -> None:
    assert Axis("any", 1, 100, [], logarithmic=True).place(value) == pytest.approx(place)


def test_an_axis_of_nines_gives_each_nine_as_much_room() -> None:
    axis = nines("percentile, %", 99.95)
    assert written(axis) == ["0", "50", "90", "99", "99.9"]
    first, second, third = (axis.place(above(percent)) for percent in (90, 99, 99.9))
    assert third - second == pytest.approx(second - first)


def test_time_is_marked_by_seconds_that_are_round() -> None:
    assert written(seconds("any", 180)) == ["0", "30", "60", "90", "120", "150", "180"]
    assert written(seconds("any", 0)) == ["0", "1"]


def test_a_curve_goes_as_far_as_its_values() -> None:
    points = curve(float(value) for value in range(1, 101))
    assert points[0][0] == 0
    assert points[-1][0] == pytest.approx(99)
    assert dict(points)[points[-1][0]] == pytest.approx(99, rel=0.001)
    assert curve([]) == []


def test_a_line_goes_through_its_points_and_has_gaps() -> None:
    path = drawn(Series("a", [(0, 0), (0.5, 10), (0.6, None), (1, 5)], "c0")).find("path")
    assert path is not None
    left, right, bottom, top = BOUNDS
    middle, half = (left + right) / 2, (top + bottom) / 2
    assert path.get("d") == f"M{left:.1f} {bottom:.1f}h0L{middle:.1f} {top:.1f} M{right:.1f} {half:.1f}h0"


def test_steps_hold_their_value() -> None:
    path = drawn(Series("a", [(0, 0), (1, 10)], "c0", steps=True)).find("path")
    assert path is not None
    left, right, bottom, top = BOUNDS
    assert path.get("d") == f"M{left:.1f} {bottom:.1f}h0H{right:.1f}V{top:.1f}"


def test_a_chart_names_its_axes_marks_and_limit_and_escapes_them() -> None:
    root = drawn(
        Series("a", [(0, 0), (1, None)], "failed", dots=True),
        marks=[(0, "calm"), (0.9, "too long for its place"), (0.95, "<x>")],
        limit=(5, "limit 5"),
        hints=[(0, 1, "said & done")],
    )
    words = [text.text for text in root.iter("text")]
    assert {"time, s", "requests/s", "calm", "<x>", "limit 5"} <= set(words)
    assert "too long for its place" not in words
    assert len(list(root.iter("circle"))) == 1
    assert [title.text for title in root.iter("title")] == ["said & done"]
    assert "A & B" in str(root.get("aria-label"))


def test_a_tick_has_what_was_due_and_what_came_in_it() -> None:
    samples = [sample(0.2, 100, sent=0.25), sample(0.9, 300), sample(1.5, 10, "503"), sample(2.5, 9_000)]
    first, second, third = timeline(run(samples, 3.0))
    assert (first.at, first.offered, first.answered, first.documents) == (0, 2, 1, 10)
    assert first.p50_ms == pytest.approx(100, rel=0.001)
    assert first.p99_ms == pytest.approx(300, rel=0.001)
    assert first.late_ms == pytest.approx(50, rel=0.001)
    assert (second.offered, second.answered, second.p50_ms, second.failures) == (1, 1, None, {"503": 1})
    assert second.failed_after_ms == pytest.approx(10, rel=0.001)
    assert (third.offered, third.answered, third.failures) == (1, 0, {})


def test_a_long_run_has_longer_ticks() -> None:
    hour = run([sample(at) for at in range(3_600)], 3_600.0)
    assert tick_seconds(hour) == 20
    ticks = timeline(hour)
    assert len(ticks) == 180
    assert {tick.offered for tick in ticks} == {1.0}
