"""Whether a canary keeps its limits. What it and the baseline showed in a window comes in, a breach or None goes out.

Each limit has a wager against the claim that the canary keeps it, and is breached when that has 300 times what it began
with. That happens to at most 1 of 300 canaries that keep the limit, ever, and so to 1 of 100 over the three limits.

- Errors: the claim is "it fails at most max_error_rate, or as often as the baseline". A wager against each half must
  have won, so trouble that both share breaks nothing. The second half: given how many requests failed in a window, the
  canary's part of them is to be expected as its part of the requests (the condition of Fisher's exact test, 1935).
- Latency: the claim is "at most 50 % of its answers take longer than max_latency_ratio × the baseline's median, and at
  most 1 % longer than that × its p99": the average of two wagers. The thresholds are of the baseline alone, and so
  known without the canary's answers. The median is that of now, and the p99 the greater of now and of a past that
  fades, so a surge that both feel is no breach. They are estimates, and what they err by is to be less than the ratio.
- Agreement: the claim is "the mean of (1 - tau) / 2 is at most that of min_agreement".

Each window is claimed to be so given those before. A canary that stalls alone for seconds on end is not as good as the
baseline for so long, however rarely it does; payoffs are cut off so that three such windows break no limit.

Pure: it knows no clock and no route; a canary of which nothing comes in is not judged.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from serve_app.router.tally import Latencies, Tally
from serve_app.router.wager import Wager
from serve_app.routes import GuardLimits

ENOUGH = 300.0
"""Capital of a wager that is won: a chance of error of 1 % over three limits."""
LEAST_COMPARISONS = 5
"""Before agreement can count: each is of many documents, and says more than one latency does."""
LEAST_OF_BASELINE = 100
"""Of its answers, before a p99 of them means anything."""
PAYOFF_OF_FAILURES = 6.0
"""So it takes at least four windows in which all fails."""
PAYOFF_OF_LATENESS = 2.0
"""So a replica may stall for three windows: in simulations, 4 had 1.5 % of canaries aborted that stalled as often as
the baseline, at 50 requests a second each, and 2 has 0.4 %. It costs what is ten times slower three windows more."""
PAYOFF_OF_DISORDER = 6.0
PAST_FADES = 0.5 ** (1 / 180)
"""A window: after three minutes of them the past counts half."""
LEAST_OF_PAST = 500
LEAST_OF_NOW = 40
"""Answers that a fading sum keeps, from however long ago."""


class Limit(StrEnum):
    """What a canary may break."""

    ERRORS = "errors"
    LATENCY = "latency"
    AGREEMENT = "agreement"


@dataclass(frozen=True, slots=True)
class Breach:
    """A limit that a canary does not keep, and a sentence for a person, with what was seen while the evidence grew."""

    limit: Limit
    sentence: str


class _Claim(Protocol):
    """That a limit is kept."""

    least: int
    """Observations, before it can be given up."""

    def observations(self, canary: Tally) -> int: ...

    def capital(self, canary: Tally, baseline: Tally, /) -> float:
        """Of who bets against it, after one more window."""

    def broken(self, canary: Tally, baseline: Tally, /) -> str: ...


class _Errors:
    def __init__(self, most: float, least: int) -> None:
        self.least = least
        self._most = most
        self._against_most, self._against_baseline = Wager(PAYOFF_OF_FAILURES), Wager(PAYOFF_OF_FAILURES)

    def observations(self, canary: Tally) -> int:
        return canary.requests

    def capital(self, canary: Tally, baseline: Tally) -> float:
        if canary.error_rate is not None:
            self._against_most.see(canary.error_rate, self._most)
        if failures := canary.failures + baseline.failures:
            its_part = canary.requests / (canary.requests + baseline.requests)
            if its_part > 0:
                self._against_baseline.see(canary.failures / failures, its_part)
        return min(self._against_most.capital, self._against_baseline.capital)

    def broken(self, canary: Tally, baseline: Tally) -> str:
        its_own, of_baseline = canary.error_rate or 0.0, baseline.error_rate or 0.0
        return (
            f"fails {_percent(its_own)} of its last {canary.requests} requests, the baseline {_percent(of_baseline)}; "
            f"at most {_percent(self._most)} is allowed"
        )


class _Latency:
    def __init__(self, ratio: float, least: int) -> None:
        self.least = least
        self._ratio = ratio
        self._past, self._now = Latencies(), Latencies()
        self._wagers = {quantile: Wager(PAYOFF_OF_LATENESS) for quantile in (0.5, 0.99)}

    def observations(self, canary: Tally) -> int:
        return canary.requests

    def capital(self, canary: Tally, baseline: Tally) -> float:
        fresh = baseline.latencies
        self._now = _after(self._now, fresh, 0.0, LEAST_OF_NOW)
        # Without an answer of the baseline's in this window, a surge could not be told from a slow canary.
        if fresh.total and canary.latencies.total and self._past.total >= LEAST_OF_BASELINE:
            for quantile, wager in self._wagers.items():
                wager.see(canary.latencies.share_above(self._ratio * self._usual_ms(quantile)), 1 - quantile)
        self._past = _after(self._past, fresh, PAST_FADES, LEAST_OF_PAST)
        return sum(wager.capital for wager in self._wagers.values()) / len(self._wagers)

    def _usual_ms(self, quantile: float) -> float:
        """The baseline's: a few answers of now have a median, and no p99."""
        now = self._now.quantile_ms(quantile) or 0.0
        return now if quantile == 0.5 else max(now, self._past.quantile_ms(quantile) or 0.0)

    def broken(self, canary: Tally, baseline: Tally) -> str:
        quantile = max(self._wagers, key=lambda each: self._wagers[each].capital)
        its_own, of_baseline = canary.quantile_ms(quantile) or 0.0, baseline.quantile_ms(quantile) or math.inf
        return (
            f"its {'median' if quantile == 0.5 else 'p99'} is {its_own:.0f} ms over its last {canary.requests} "
            f"requests, the baseline's {of_baseline:.0f} ms: {its_own / of_baseline:.1f} times as long; "
            f"at most {self._ratio:g} times is allowed"
        )


class _Agreement:
    least = LEAST_COMPARISONS

    def __init__(self, least: float) -> None:
        self._least_agreement = least
        self._wager = Wager(PAYOFF_OF_DISORDER)

    def observations(self, canary: Tally) -> int:
        return canary.comparisons

    def capital(self, canary: Tally, _baseline: Tally, /) -> float:
        if canary.agreement is not None:
            self._wager.see((1 - canary.agreement) / 2, (1 - self._least_agreement) / 2)
        return self._wager.capital

    def broken(self, canary: Tally, _baseline: Tally, /) -> str:
        return (
            f"orders documents otherwise than the baseline: a Kendall's tau of {canary.agreement or 0.0:.2f} over its "
            f"last {canary.comparisons} comparisons; at least {self._least_agreement:g} is asked for"
        )


class _Watch:
    """How far a claim is from being given up, and what led there."""

    def __init__(self, claim: _Claim) -> None:
        self._claim = claim
        self._observations = 0
        self._canary, self._baseline = Tally(), Tally()
        """Since there was last no evidence: what a person is told explains the breach, and not hours that were good."""
        self.evidence = 0.0

    def observe(self, canary: Tally, baseline: Tally) -> str | None:
        """What is broken, if anything is."""
        self._observations += self._claim.observations(canary)
        won = math.log(self._claim.capital(canary, baseline)) / math.log(ENOUGH)
        if won <= 0:
            self._canary, self._baseline = Tally(), Tally()
        else:
            self._canary, self._baseline = self._canary + canary, self._baseline + baseline
        self.evidence = max(0.0, min(1.0, won, self._observations / self._claim.least))
        return self._claim.broken(self._canary, self._baseline) if self.evidence == 1.0 else None


class Guard:
    """Judges one canary."""

    def __init__(self, limits: GuardLimits) -> None:
        self.limits = limits
        claims: dict[Limit, _Claim] = {}
        if limits.max_error_rate is not None:
            claims[Limit.ERRORS] = _Errors(limits.max_error_rate, limits.min_observations)
        if limits.max_latency_ratio is not None:
            claims[Limit.LATENCY] = _Latency(limits.max_latency_ratio, limits.min_observations)
        if limits.min_agreement is not None:
            claims[Limit.AGREEMENT] = _Agreement(limits.min_agreement)
        self._watches = {limit: _Watch(claim) for limit, claim in claims.items()}

    @property
    def evidence(self) -> Mapping[Limit, float]:
        """Against each limit that is watched, from 0 to 1, where it is broken."""
        return {limit: watch.evidence for limit, watch in self._watches.items()}

    def observe(self, canary: Tally, baseline: Tally) -> Breach | None:
        """What both showed in one more window, of all routers; the comparisons are in the canary's tally.

        A breach is told again every window, for as long as there is this much evidence.
        """
        broken = {limit: watch.observe(canary, baseline) for limit, watch in self._watches.items()}
        return next((Breach(limit, sentence) for limit, sentence in broken.items() if sentence), None)


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _after(latencies: Latencies, fresh: Latencies, fades: float, least: int) -> Latencies:
    """With those of a window, and the older ones faded, but not below so many of all: few requests make a long past."""
    return latencies.faded(max(fades, 1 - fresh.total / least)) + fresh
