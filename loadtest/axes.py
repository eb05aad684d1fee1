"""Axes of charts: values in, a range with round ticks out. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ROUND = (1, 2, 2.5, 5, 10)
TICKS = 5
"""About as many on an axis."""
NINES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99)


@dataclass(frozen=True, slots=True)
class Axis:
    """A range of values, and where it is marked."""

    title: str
    """With its unit."""
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    """Value and what is written at it."""
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """From 0 at the low end to 1 at the high one; what lies outside is at the end."""
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low)


def linear(title: str, values: Iterable[float], *, whole: bool = False) -> Axis:
    """From 0; of things that come whole, no parts of them are marked."""
    highest = max([*values, 0])
    step = math.ceil(highest / TICKS) or 1 if whole else _round_up(highest / TICKS or 1 / TICKS)
    count = max(1, math.ceil(highest / step - 1e-9))
    return Axis(title, 0, count * step, [(n * step, _written(n * step)) for n in range(count + 1)])


def seconds(title: str, length: float) -> Axis:
    """Of time, which ends where the run does."""
    step = next((each for each in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if length / each <= TICKS + 2), 1_800)
    high = length or 1.0
    return Axis(title, 0, high, [(float(at), _written(at)) for at in range(0, math.floor(high) + 1, step)])


def logarithmic(title: str, values: Iterable[float]) -> Axis:
    """From one round number around the values to another one; of values above 0."""
    known = [value for value in values if value > 0] or [1.0, 10.0]
    rungs = [factor * 10.0**power for power in range(-4, 8) for factor in (1, 2, 5)]
    first = max((place for place, rung in enumerate(rungs) if rung <= min(known)), default=0)
    last = min((place for place, rung in enumerate(rungs) if rung >= max(known)), default=len(rungs) - 1)
    marked = rungs[first : max(last, first + 1) + 1]
    decades = [rung for rung in marked if _is_decade(rung)]
    shown = decades if len(marked) > 2 * TICKS else marked
    return Axis(title, marked[0], marked[-1], [(rung, _written(rung)) for rung in shown], logarithmic=True)


def nines(title: str, highest: float) -> Axis:
    """Of percents, each step with a tenth of what was left above it; see `above`."""
    reached = [percent for percent in NINES if percent <= max(highest, NINES[2])]
    high = above(max(highest, NINES[2]))
    return Axis(title, 1, high, [(above(percent), f"{percent:g}") for percent in reached], logarithmic=True)


def above(percent: float) -> float:
    """One in how many lies above this percentile: where it is on an axis of nines."""
    return 100 / (100 - percent)


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in ROUND if factor * power >= value * (1 - 1e-9))


def _is_decade(value: float) -> bool:
    return math.isclose(math.log10(value), round(math.log10(value)))


def _written(value: float) -> str:
    return f"{value:,.10g}"
