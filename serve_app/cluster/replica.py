"""A replica as the simulation has it: requests in tokens come in, batches go out, in the order the scorer would take.

What remains of the shortest request goes first, and waiting counts (`scorer/slices.py`); a batch holds a token budget.
Time is an argument, and computing takes tokens divided by the pace. It knows no router, no documents and no text.
"""

import math
from dataclasses import dataclass, field

HALVED_EVERY_S = 4.0
HALVED_EVERY_TIMES = 2.0
"""As in the scorer: waiting so long, or so many times of what it takes, makes what remains look half as long."""
BATCHES_AT_ONCE = 2
"""As in the scorer: on a GPU the next batch is settled while one is computed."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What the replicas of a variant are like."""

    tokens_per_s: float
    token_budget: int
    starts_in_s: float
    """From the decision to the first answer: node, image, weights."""


@dataclass(eq=False, slots=True)
class Work:
    """One request; `slices` wait, the next one last."""

    request: int
    came: float
    waiting_tokens: float
    halved_every_s: float
    slices: list[float]
    unscored: int


@dataclass(eq=False, slots=True)
class Replica:
    """One replica, from the decision for it to its end."""

    kind: Kind
    since: float
    up: bool = False
    stopping: bool = False
    requests: int = 0
    """That it has and has not answered."""
    waiting: list[Work] = field(default_factory=list)
    batches: int = 0
    free_at: float = 0.0
    busy_s: float = 0.0

    def add(self, request: int, tokens: float, now: float) -> None:
        """A request has come."""
        budget = self.kind.token_budget
        rest = tokens % budget
        slices = [float(budget)] * int(tokens // budget) + ([rest] if rest else [])
        halved_every_s = min(HALVED_EVERY_S, HALVED_EVERY_TIMES * tokens / self.kind.tokens_per_s)
        self.waiting.append(Work(request, now, tokens, halved_every_s, slices, len(slices)))
        self.requests += 1

    def release(self, now: float) -> tuple[float, list[Work]] | None:
        """The next batch, when it has ended and whose slices it holds; None when the device has enough or nothing."""
        if not self.waiting or self.batches >= BATCHES_AT_ONCE:
            return None
        tokens, released = self._take(now)
        took = tokens / self.kind.tokens_per_s
        self.free_at = max(now, self.free_at) + took
        self.busy_s += took
        self.batches += 1
        return self.free_at, released

    def movable_tokens(self) -> float:
        """What another replica could have begun: all that waits but the largest request."""
        if len(self.waiting) < 2:
            return 0.0
        tokens = [work.waiting_tokens for work in self.waiting]
        return sum(tokens) - max(tokens)

    def _take(self, now: float) -> tuple[float, list[Work]]:
        room = float(self.kind.token_budget)
        released: list[Work] = []

        def apparent(work: Work) -> float:
            return work.waiting_tokens * math.exp2((work.came - now) / work.halved_every_s)

        for work in sorted(self.waiting, key=apparent):
            while work.slices and (not released or work.slices[-1] <= room):
                part = work.slices.pop()
                work.waiting_tokens -= part
                room -= part
                released.append(work)
            if room <= 0:
                break
        self.waiting = [work for work in self.waiting if work.slices]
        return self.kind.token_budget - room, released
