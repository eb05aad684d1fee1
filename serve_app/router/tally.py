"""What a lane, or a shadow, showed in a window. What becomes of each request goes in, sums and quantiles come out.

Tallies of several routers are added up, so that one judge sees a lane whole; a tally pickles to a few hundred bytes.
Pure: it knows no clock, no lane's name, and not what is good or bad.
"""

import math
from dataclasses import dataclass, field

SHORTEST_MS = 1.0
LONGEST_MS = 300_000.0
WIDTH = math.log(1.05)
"""Of a bucket: what comes out is within 2.5 % of what went in."""
LAST_BUCKET = int(math.log(LONGEST_MS / SHORTEST_MS) / WIDTH)
_ROUNDING = 1e-9


@dataclass(slots=True)
class Latencies:
    """A histogram in buckets that grow by 5 %, with the first and the last for all that is beyond."""

    counts: dict[int, float] = field(default_factory=dict)
    """By bucket, and only of those that have any; whole numbers until they are faded."""

    def add(self, milliseconds: float) -> None:
        """Count one."""
        within = min(LONGEST_MS, max(SHORTEST_MS, milliseconds))
        bucket = int(math.log(within / SHORTEST_MS) / WIDTH)
        self.counts[bucket] = self.counts.get(bucket, 0) + 1

    def __add__(self, other: "Latencies") -> "Latencies":
        counts = dict(self.counts)
        for bucket, count in other.counts.items():
            counts[bucket] = counts.get(bucket, 0) + count
        return Latencies(counts)

    def faded(self, share: float) -> "Latencies":
        """The same, where each counts only so much."""
        return Latencies({bucket: count * share for bucket, count in self.counts.items() if count * share > _ROUNDING})

    @property
    def total(self) -> float:
        """How many there are."""
        return sum(self.counts.values())

    def quantile_ms(self, quantile: float) -> float | None:
        """The middle of the bucket of rank quantile × (n + 1), or the greatest; None where there is none.

        Of that rank, so that one more of the same kind is above it with a chance of at most 1 - quantile, however few
        there are (from 1 / (1 - quantile) on): the rank n × quantile is too low for a p99 of 100.
        """
        rank, reached = min(self.total, math.ceil(quantile * (self.total + 1))), 0.0
        for bucket in sorted(self.counts):
            reached += self.counts[bucket]
            if reached >= rank - _ROUNDING:
                return SHORTEST_MS * math.exp((bucket + 0.5) * WIDTH)
        return None

    def share_above(self, milliseconds: float) -> float:
        """The part in buckets that are above as a whole, from 0 to 1; 0 where there is none."""
        first = math.ceil(math.log(max(SHORTEST_MS, milliseconds) / SHORTEST_MS) / WIDTH)
        above = sum(count for bucket, count in self.counts.items() if bucket >= first)
        return above / self.total if self.counts else 0.0


@dataclass(slots=True)
class Tally:
    """Sums over a window, or over several."""

    latencies: Latencies = field(default_factory=Latencies)
    """Of the requests that were answered."""
    failures: int = 0
    comparisons: int = 0
    taus: float = 0.0
    """Sum over the comparisons."""

    def answered(self, milliseconds: float) -> None:
        """A request has its answer."""
        self.latencies.add(milliseconds)

    def failed(self) -> None:
        """A request has none, and never will."""
        self.failures += 1

    def agreed(self, tau: float) -> None:
        """An order was compared with another's: Kendall's tau, from -1 to 1. Raises ValueError for anything else."""
        if not abs(tau) <= 1 + _ROUNDING:  # put so that it holds of NaN, too
            raise ValueError(f"Kendall's tau is from -1 to 1, and not {tau}")
        self.comparisons += 1
        self.taus += tau

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.latencies + other.latencies,
            self.failures + other.failures,
            self.comparisons + other.comparisons,
            self.taus + other.taus,
        )

    @property
    def requests(self) -> int:
        """Answered and failed."""
        return round(self.latencies.total) + self.failures

    @property
    def error_rate(self) -> float | None:
        """From 0 to 1; None without requests."""
        return self.failures / self.requests if self.requests else None

    @property
    def agreement(self) -> float | None:
        """Mean of tau; None without comparisons."""
        return self.taus / self.comparisons if self.comparisons else None

    @property
    def p50_ms(self) -> float | None:
        """Half of the answers were faster; None without answers."""
        return self.latencies.quantile_ms(0.5)

    @property
    def p99_ms(self) -> float | None:
        """All but one answer of a hundred were faster; None without answers."""
        return self.latencies.quantile_ms(0.99)

    def quantile_ms(self, quantile: float) -> float | None:
        """Of the answers; None without any."""
        return self.latencies.quantile_ms(quantile)
