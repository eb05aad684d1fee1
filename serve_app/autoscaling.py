"""How many replicas a variant needs: what arrives and what waits comes in, in tokens, a number and its reason go out.

Pure, and of the standard library: Ray's controller has no more. It knows no Ray, no clock and no bounds, nor how long a
decision has to stand before it is acted on: who asks applies that (`Pacing` has the figures).

Tokens and not requests, since a request of 1,000 documents is as much work as a hundred of ten.
"""

import math
from dataclasses import dataclass
from typing import Literal

BUSY = 0.5
"""Part of its time that a replica may be busy. What grows meanwhile has to find room until the next one is up, a minute
later: with 0.7 nine times as many requests came too late, for three quarters of the replicas' time
(`loadtest/results/autoscaling-signals.md`)."""
LET_GO = 0.75
"""A replica is let go only when those that stay would be less busy than this part of what they may be. Without the gap
a variant between two sizes would go up and down for ever."""
CATCH_UP_S = 30.0
"""In so long what came too late is to be caught up with: about how long a node takes to come. Sooner would ask for
replicas that find nothing left to do when they are ready."""
REPORTS_PER_S = 200
"""Of all replicas of a variant to Serve's controller."""
SELDOM_S = 10.0
"""Ray's own interval of reports."""
Reason = Literal["idle", "pace unknown", "arrivals", "backlog", "spare", "steady"]


@dataclass(frozen=True, slots=True)
class Pacing:
    """When decisions are acted on: up at once but for a glimpse, down late and by halves."""

    report_every_s: float = 2.0
    """How often replicas tell what arrives and waits."""
    look_back_s: float = 10.0
    """Ray wants this above `report_every_s`."""
    up_after_s: float = 4.0
    """Two reports: one alone may be a burst that is already gone."""
    down_after_s: float = 120.0
    """A node that is given back takes longer than this to come again."""
    down_share: float = 0.5
    """Of the replicas that are too many, so many go at a time."""

    @classmethod
    def of(cls, most_replicas: int) -> "Pacing":
        """For a variant of up to so many replicas: of very many each reports less often.

        Serve's controller, one process, is measured with up to 8,192 replicas that report every ten seconds
        (github.com/ray-project/ray/pull/65371), and gets no more from one variant.
        """
        every_s = min(SELDOM_S, max(2.0, most_replicas / REPORTS_PER_S))
        return cls(report_every_s=every_s, look_back_s=5 * every_s, up_after_s=2 * every_s)


@dataclass(frozen=True, slots=True)
class Aim:
    """What the replicas of a variant are there for."""

    latency_s: float
    """Within this a request of 100 documents is answered, waiting included."""
    busy: float = BUSY


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of a variant. Tokens are padded ones, of which a device does so many a second."""

    arriving_tokens_per_s: float
    waiting_tokens: float
    """What another replica could have begun by now: all that waits, but not the largest request of each replica."""
    request_tokens: float
    """Of a mean request."""
    tokens_per_s: float | None
    """Of one replica; None until one has had enough to do to show it."""
    requests: float
    """On their way to an answer."""


@dataclass(frozen=True, slots=True)
class Need:
    """How many replicas there should be, and why."""

    replicas: int
    reason: Reason
    because: str
    """The reason in words, with its figures."""


def replicas_needed(demand: Demand, aim: Aim, running: int, target: int) -> Need:
    """Of `target` replicas `running` have started. The others are on their way, and are not asked for twice."""
    if not (demand.arriving_tokens_per_s or demand.waiting_tokens or demand.requests):
        return Need(0, "idle", "nothing arrives and nothing waits")
    if demand.tokens_per_s is None:
        return Need(max(1, target), "pace unknown", "no replica has had enough to do to show its pace")
    pace, arriving = demand.tokens_per_s, demand.arriving_tokens_per_s
    late = _late_tokens(demand, pace, aim, running)
    starting = max(0, target - running)
    by_rate = arriving / (pace * aim.busy)
    by_backlog = arriving / pace + late / (pace * CATCH_UP_S) if late else 0.0
    up = _whole(max(by_rate, by_backlog - starting))  # those that start will take their part of what is late
    told = f"{arriving:,.0f} tokens/s arrive, {late:,.0f} wait too long, a replica does {pace:,.0f} tokens/s"
    if up > target:
        return Need(up, "arrivals" if by_rate >= by_backlog - starting else "backlog", told)
    stay = _whole(by_rate / LET_GO)
    # While anything waits too long none is let go, however little arrives: those who wait may hold back what they send.
    return Need(stay, "spare", told) if stay < target and not late else Need(target, "steady", told)


def _late_tokens(demand: Demand, pace: float, aim: Aim, running: int) -> float:
    """What waits beyond what the running replicas get through in time; a request takes its own time as well."""
    in_time_s = max(0.0, aim.latency_s - demand.request_tokens / pace)
    return max(0.0, demand.waiting_tokens - running * pace * in_time_s)


def _whole(replicas: float) -> int:
    """Rounded up, at least one; a millionth above a number is rounding of the arithmetic, and not a replica."""
    return max(1, math.ceil(replicas - 1e-6))
