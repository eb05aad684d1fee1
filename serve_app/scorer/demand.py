"""What is asked of the replicas of a variant: what arrives and waits at each comes in, the whole's demand goes out.

A replica tells Ray four figures every few seconds, the autoscaling policy reads them in another process, which has
neither torch nor numpy. Pure: the time is an argument.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from serve_app.autoscaling import Demand

WINDOW_S = 10.0
"""Arrivals are counted over so long."""
STEP_S = 0.5
"""And forgotten by such steps: a replica may get thousands of requests in the window."""


@dataclass(frozen=True, slots=True)
class ReplicaDemand:
    """What one replica tells. Plain floats, all of them: Ray stops asking after the first value of another type."""

    arriving_tokens_per_s: float = 0.0
    arriving_requests_per_s: float = 0.0
    waiting_tokens: float = 0.0
    """Of all requests that wait but the largest, which no other replica would begin sooner."""
    tokens_per_s: float = 0.0
    """0 until it has had enough to do to show its pace."""

    def figures(self) -> dict[str, int | float]:
        """As Ray takes them."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def of(cls, figures: Mapping[str, float]) -> "ReplicaDemand":
        """What `figures` made; those of other names are Ray's own."""
        return cls(**{field.name: figures[field.name] for field in fields(cls) if field.name in figures})


class Arrivals:
    """Tokens and requests of the last WINDOW_S.

    The window is as long for a replica that has just begun: so the sum over all replicas is what arrived at the
    variant, whichever of them got it.
    """

    def __init__(self) -> None:
        self._steps: deque[list[float]] = deque()
        self._tokens = 0.0
        self._requests = 0.0

    def add(self, tokens: float, now: float) -> None:
        """A request has come."""
        step = now // STEP_S
        if not self._steps or self._steps[-1][0] != step:
            self._steps.append([step, 0.0, 0.0])
        self._steps[-1][1] += tokens
        self._steps[-1][2] += 1
        self._tokens += tokens
        self._requests += 1

    def per_s(self, now: float) -> tuple[float, float]:
        """Tokens and requests a second."""
        oldest = (now - WINDOW_S) // STEP_S
        while self._steps and self._steps[0][0] <= oldest:
            _, tokens, requests = self._steps.popleft()
            self._tokens -= tokens
            self._requests -= requests
        return self._tokens / WINDOW_S, self._requests / WINDOW_S


def variant_demand(replicas: Sequence[ReplicaDemand], queued: float, requests: float, known_pace: float) -> Demand:
    """The demand on a variant with these replicas, before which `queued` of its `requests` wait for a place.

    `known_pace` is that of earlier replicas, or 0, for when none of these has shown its own.
    """
    tokens = sum(each.arriving_tokens_per_s for each in replicas)
    arriving = sum(each.arriving_requests_per_s for each in replicas)
    paces = [each.tokens_per_s for each in replicas if each.tokens_per_s > 0]
    pace = sum(paces) / len(paces) if paces else known_pace
    of_a_request = tokens / arriving if arriving else 0.0
    waiting = sum(each.waiting_tokens for each in replicas) + queued * of_a_request
    return Demand(tokens, waiting, of_a_request, pace or None, requests)
