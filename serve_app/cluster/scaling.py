"""How Ray Serve scales, without Ray: what a policy asks for comes in, what becomes of it goes out.

Factors, delays and bounds as ray 2.60.0 applies them (`autoscaling_policy.py`), held to Ray's own code by a test; and
two policies: ours, by tokens, and Ray's own, by requests. Pure: the time is an argument. It knows no replica.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from serve_app.autoscaling import Aim, Demand, Pacing, replicas_needed


@dataclass(frozen=True, slots=True)
class Seen:
    """What the controller knows when it decides."""

    demand: Demand
    mean_requests: float
    """Over the look-back, waiting ones included: all that Ray's own policy knows."""
    running: int
    target: int


Policy = Callable[[Seen], float]


@dataclass(frozen=True, slots=True)
class Rule:
    """A policy, and how it is acted on."""

    policy: Policy
    pacing: Pacing
    idle_after_s: float
    fewest: int
    most: int


def by_tokens(aim: Aim) -> Policy:
    """Ours."""
    return lambda seen: replicas_needed(seen.demand, aim, seen.running, seen.target).replicas


def by_requests(each: float) -> Policy:
    """Ray's: as many replicas as it takes for `each` requests a replica."""
    return lambda seen: seen.mean_requests / each if seen.running else seen.target


class Governor:
    """Holds one variant's decisions until they have stood long enough."""

    def __init__(self, rule: Rule) -> None:
        self._rule = rule
        self._since: float | None = None
        self._up = True

    def target(self, seen: Seen, now: float) -> int:
        """How many replicas there are to be."""
        wanted = self._settled(seen, now)
        return max(self._rule.fewest, min(self._rule.most, wanted))

    def _settled(self, seen: Seen, now: float) -> int:
        if seen.running == 0 and seen.mean_requests > 0:
            return max(1, seen.target)
        wanted = self._scaled(self._rule.policy(seen), seen.running)
        if seen.running == 0 and wanted > 0:
            return wanted
        if wanted == seen.target:
            self._since = None
            return wanted
        up = wanted > seen.target
        if self._since is None or up is not self._up:
            self._since, self._up = now, up
        if now - self._since + 1e-6 < self._delay_s(up, seen.target):
            return seen.target
        self._since = None
        return wanted if up or seen.target == 1 else max(1, wanted)

    def _scaled(self, wanted: float, running: int) -> int:
        """The way down is taken in parts."""
        if running == 0 or wanted >= running:
            return math.ceil(wanted)
        scaled = math.ceil(running + self._rule.pacing.down_share * (wanted - running))
        return scaled - 1 if math.ceil(wanted) < running == scaled else scaled

    def _delay_s(self, up: bool, target: int) -> float:
        pacing = self._rule.pacing
        if up:
            return pacing.up_after_s
        return self._rule.idle_after_s if target == 1 else pacing.down_after_s
