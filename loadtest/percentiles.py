"""How latencies spread: milliseconds in, percentiles out. The only home of HdrHistogram.

A percentile is within 0.1 % of a value that was measured, and never below it (Tene's HdrHistogram, at three digits).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from hdrh.histogram import HdrHistogram

LONGEST_MS = 3_600_000.0
"""An hour; what takes longer counts as that long."""
DIGITS = 3
PER_MS = 1_000
"""The histogram counts whole microseconds."""
CURVE_STEPS = 15
"""Points of a curve for each tenth that is left above it."""


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of latencies, in milliseconds."""

    count: int
    """Of what they are made from: of fewer than a thousand, p99.9 is the slowest."""
    p50: float
    p90: float
    p95: float
    p99: float
    p999: float
    slowest: float


def percentiles(values_ms: Iterable[float]) -> Percentiles | None:
    """None where there are no values."""
    histogram = _histogram(values_ms)
    if not histogram.get_total_count():
        return None
    found = (histogram.get_value_at_percentile(percent) / PER_MS for percent in (50, 90, 95, 99, 99.9, 100))
    return Percentiles(histogram.get_total_count(), *found)


def curve(values_ms: Iterable[float]) -> list[tuple[float, float]]:
    """Percent and milliseconds, ever closer to 100 %, as far as the values reach: to 99 % for a hundred."""
    histogram = _histogram(values_ms)
    shares = [10 ** (-step / CURVE_STEPS) for step in range(4 * CURVE_STEPS + 1)]
    percents = [100 * (1 - share) for share in shares if share * histogram.get_total_count() >= 1]
    return [(percent, histogram.get_value_at_percentile(percent) / PER_MS) for percent in percents]


def _histogram(values_ms: Iterable[float]) -> HdrHistogram:
    histogram = HdrHistogram(1, int(LONGEST_MS * PER_MS), DIGITS)
    for value in values_ms:
        histogram.record_value(round(min(max(value, 1 / PER_MS), LONGEST_MS) * PER_MS))
    return histogram
