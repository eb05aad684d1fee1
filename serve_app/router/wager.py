"""Evidence that a mean is above what is allowed. One window's mean after another comes in, a capital goes out.

    capital = reserve + average over stakes k of Π (1 - k + min(k x / m, most payoff))

Somebody who doubts "given all that was before, the mean x of the next window is at most m" bets on it, at odds that
would be fair if it were exactly m. If the claim holds, the capital is a supermartingale from 1, and the chance that it
*ever* reaches c is at most 1 / c, however often one looks (Ville 1939). Betting on means of bounded variables so:
Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024).

- x is the mean of a window and not one observation, so requests that were slow together count once.
- An average over stakes is such a capital too, and does nearly as well as the best of them would have.
- Paying less than is fair leaves it valid: payoffs are cut off, so that no single window decides,
  and a capital at MOST_CAPITAL, so that old evidence does not outweigh new for long.
- So does betting later: part of the capital is kept in reserve, and ever less of it is added to what is at stake.
  Without, a canary that turns bad after an hour would first have to win back what an hour of good windows cost.
  It is the mixture over times of change of Shin, Ramdas & Rinaldo, "E-detectors" (NEJSDS 2024), with weights that sum
  to 1, and so a chance of error for good in place of their rate.

Pure: it knows no clock, no lane, and not what the means are of.
"""

STAKES = (0.02, 0.06, 0.2, 0.5, 0.9)
"""Small ones for windows of one request, which are mostly 0 and rarely 1; large ones for means of many."""
MOST_CAPITAL = 10_000.0
"""For each stake: one alone is enough for a capital of a fifth."""
RESERVE = 0.5
RESERVE_WINDOWS = 60
"""In so many windows half of the reserve goes."""


class Wager:
    """One doubter."""

    def __init__(self, most_payoff: float) -> None:
        """A window multiplies what is at stake by 1 + most_payoff, at most."""
        self._most_payoff = most_payoff
        self._windows = 0
        self._reserve = RESERVE
        self._at_stake = [1 - RESERVE] * len(STAKES)

    @property
    def capital(self) -> float:
        """1 at first; never 0."""
        return self._reserve + sum(self._at_stake) / len(STAKES)

    def see(self, mean: float, allowed: float) -> None:
        """A window's mean, from 0 to 1, and what is claimed to be the most to expect, above 0.

        What is allowed may depend on all that was before, and on whatever else does not tell the mean itself.
        """
        self._windows += 1
        reserve = RESERVE * RESERVE_WINDOWS / (RESERVE_WINDOWS + self._windows)
        added, self._reserve = self._reserve - reserve, reserve
        self._at_stake = [
            min(MOST_CAPITAL, (capital + added) * (1 - stake + min(stake * mean / allowed, self._most_payoff)))
            for stake, capital in zip(STAKES, self._at_stake, strict=True)
        ]
