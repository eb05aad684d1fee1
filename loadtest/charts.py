"""Charts as SVG: axes and series in, markup out. It knows nothing of what they show.

Written here because the page needs little of a plotting library, and what it needs they do badly: colours come from the
page's style sheet, so that one drawing is right in light and dark, and letters stay letters (matplotlib's SVG has
fixed colours and half a megabyte of outlines, plotly wants four megabytes of script).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from xml.etree import ElementTree as Tree

from loadtest.axes import Axis

WIDTH, HEIGHT = 560, 290
LEFT, RIGHT, TOP, BOTTOM = 62, 20, 36, 48
LETTER = 7
"""Width, about: a name that does not fit before the next one is left out."""
COLOURS = 6
"""That the style sheet has, `c0` to `c5`; more series than that share them."""
Point = tuple[float, float | None]
"""A line has a gap where there is no y."""


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one colour."""

    name: str
    points: Sequence[Point]
    style: str
    """Classes of the style sheet: a colour, or `failed`; `soft` for what lies behind."""
    steps: bool = False
    """Whether a value holds until the next one."""
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Chart:
    """What is drawn."""

    title: str
    x: Axis
    y: Axis
    series: Sequence[Series]
    marks: Sequence[tuple[float, str]] = ()
    """Where something begins on the x axis, and its name."""
    limit: tuple[float, str] | None = None
    """A value of the y axis that should not be passed, and its name."""
    hints: Sequence[tuple[float, float, str]] = ()
    """What is said under the pointer, from one x to another."""


def draw(chart: Chart) -> str:
    """One SVG element that scales with its box."""
    root = Tree.Element("svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img")
    root.set("aria-label", f"{chart.title}: {chart.y.title} by {chart.x.title}")
    _draw_axes(root, chart)
    _draw_marks(root, chart)
    for series in chart.series:
        _draw_series(root, chart, series)
    if chart.limit is not None:
        height = _y(chart, chart.limit[0])
        _line(root, LEFT, height, WIDTH - RIGHT, height, "limit")
        _text(root, WIDTH - RIGHT - 4, height - 5, chart.limit[1], "limit end")
    for begin, end, words in chart.hints:
        place = {"x": f"{_x(chart, begin):.1f}", "width": f"{max(0.5, _x(chart, end) - _x(chart, begin)):.1f}"}
        box = Tree.SubElement(root, "rect", place, y=str(TOP), height=str(HEIGHT - TOP - BOTTOM))
        box.set("class", "hint")
        Tree.SubElement(box, "title").text = words
    return Tree.tostring(root, encoding="unicode")


def _draw_axes(root: Tree.Element, chart: Chart) -> None:
    for value, words in chart.y.ticks:
        height = _y(chart, value)
        _line(root, LEFT, height, WIDTH - RIGHT, height, "grid")
        _text(root, LEFT - 7, height + 4, words, "end")
    for value, words in chart.x.ticks:
        across = _x(chart, value)
        _line(root, across, HEIGHT - BOTTOM, across, HEIGHT - BOTTOM + 4, "axis")
        _text(root, across, HEIGHT - BOTTOM + 18, words, "middle")
    _line(root, LEFT, HEIGHT - BOTTOM, WIDTH - RIGHT, HEIGHT - BOTTOM, "axis")
    _text(root, (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, chart.x.title, "middle title")
    _text(root, 4, 14, chart.y.title, "title")


def _draw_marks(root: Tree.Element, chart: Chart) -> None:
    ends = [*(_x(chart, begin) for begin, _ in chart.marks), WIDTH - RIGHT][1:]
    for (begin, name), end in zip(chart.marks, ends, strict=False):
        across = _x(chart, begin)
        _line(root, across, TOP - 12, across, HEIGHT - BOTTOM, "mark")
        if across + LETTER * len(name) < end:
            _text(root, across + 4, TOP - 5, name, "mark")


def _draw_series(root: Tree.Element, chart: Chart, series: Series) -> None:
    placed = [(_x(chart, x), None if y is None else _y(chart, y)) for x, y in series.points]
    if series.dots:
        for across, height in placed:
            if height is not None:
                dot = Tree.SubElement(root, "circle", cx=f"{across:.1f}", cy=f"{height:.1f}", r="3")
                dot.set("class", series.style)
        return
    path = " ".join(_path(list(run), series.steps) for drawn, run in groupby(placed, _is_drawn) if drawn)
    Tree.SubElement(root, "path", {"class": f"line {series.style}", "d": path})


def _is_drawn(point: Point) -> bool:
    return point[1] is not None


def _path(points: Sequence[Point], steps: bool) -> str:
    (across, height), *following = points
    # Of no length, and with round ends: a point alone is seen as a dot.
    drawn = [f"M{across:.1f} {height:.1f}h0"]
    for across, height in following:
        drawn.append(f"H{across:.1f}V{height:.1f}" if steps else f"L{across:.1f} {height:.1f}")
    return "".join(drawn)


def _x(chart: Chart, value: float) -> float:
    return LEFT + chart.x.place(value) * (WIDTH - LEFT - RIGHT)


def _y(chart: Chart, value: float) -> float:
    return HEIGHT - BOTTOM - chart.y.place(value) * (HEIGHT - TOP - BOTTOM)


def _line(root: Tree.Element, x1: float, y1: float, x2: float, y2: float, style: str) -> None:
    ends = {name: f"{value:.1f}" for name, value in (("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2))}
    Tree.SubElement(root, "line", {"class": style, **ends})


def _text(root: Tree.Element, x: float, y: float, words: str, style: str) -> None:
    Tree.SubElement(root, "text", {"class": style, "x": f"{x:.1f}", "y": f"{y:.1f}"}).text = words
