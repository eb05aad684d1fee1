"""Windows of a canary and a baseline, made up: lognormal latencies, surges that both feel, bursts that one does."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from serve_app.router.tally import LAST_BUCKET, WIDTH, Latencies, Tally

WINDOWS = 600
Series = NDArray[np.float64]


@dataclass(frozen=True)
class Ways:
    """How a lane behaves."""

    median_ms: float = 40.0
    error_rate: float = 0.003
    stuck: float = 0.0
    """Share of its answers that take ten times as long."""
    tau: float = 0.75
    """Of its orders with the baseline's, with a standard deviation of 0.25."""


@dataclass(frozen=True)
class World:
    """What the lanes live in. A surge and a burst slow everything down while they last."""

    per_second: float = 20.0
    canary_share: float = 0.05
    sigma: float = 0.5
    compared: float = 0.1
    surges: float = 1 / 120
    """Chance a window that one begins, of 10 to 60 windows; of both, 3 % more fail then."""
    bursts: float = 1 / 60
    """Chance a window and lane that one begins, of 1 to 3 windows."""

    def windows(self, canary: Ways, run: int, baseline: Ways | None = None) -> Iterator[tuple[Tally, Tally]]:
        chance = np.random.default_rng([7, run])
        surge = _spells(chance, self.surges, (10, 60), (1.5, 6.0))
        yield from zip(
            self._lane(chance, canary, self.canary_share, surge, self.compared),
            self._lane(chance, baseline or Ways(), 1 - self.canary_share, surge, 0.0),
            strict=True,
        )

    def _lane(
        self, chance: np.random.Generator, ways: Ways, share: float, surge: Series, compared: float
    ) -> Iterator[Tally]:
        requests = chance.poisson(self.per_second * share, WINDOWS)
        failed = chance.binomial(requests, ways.error_rate + np.where(surge > 1, 0.03, 0.0))
        slow = surge * _spells(chance, self.bursts, (1, 3), (2.0, 8.0))
        answered = requests - failed
        latencies = np.repeat(ways.median_ms * slow, answered) * chance.lognormal(0.0, self.sigma, answered.sum())
        latencies *= np.where(chance.random(len(latencies)) < ways.stuck, 10, 1)
        buckets = np.clip(np.log(np.maximum(1.0, latencies)) / WIDTH, 0, LAST_BUCKET).astype(int).tolist()
        comparisons = chance.binomial(answered, compared)
        taus = np.clip(chance.normal(ways.tau, 0.25, comparisons.sum()), -1, 1)
        ends, compared_ends = np.cumsum(answered).tolist(), np.cumsum(comparisons).tolist()
        for window in range(WINDOWS):
            of_window = taus[compared_ends[window] - comparisons[window] : compared_ends[window]]
            counts: dict[int, float] = dict(Counter(buckets[ends[window] - answered[window] : ends[window]]))
            yield Tally(Latencies(counts), int(failed[window]), len(of_window), float(of_window.sum()))


def _spells(
    chance: np.random.Generator, begins: float, lengths: tuple[int, int], factors: tuple[float, float]
) -> Series:
    """By how much everything takes longer in each window."""
    slow = np.ones(WINDOWS)
    for start in np.flatnonzero(chance.random(WINDOWS) < begins):
        slow[start : start + chance.integers(*lengths, endpoint=True)] = chance.uniform(*factors)
    return slow
