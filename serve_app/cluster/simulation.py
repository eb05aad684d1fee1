"""A fleet in simulated time: requests and a rule come in, how long each took and what the replicas cost goes out.

Discrete events, and nothing else passes the time: arrivals, ends of batches, replicas that come up, looks of the
controller. A request goes to the better of two replicas drawn by chance, as Ray's does. What it leaves out: that a
replica holds 256 requests at most, deadlines, and that some documents are longer than others.
"""

import heapq
import itertools
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from serve_app.autoscaling import Demand
from serve_app.cluster.replica import Kind, Replica, Work
from serve_app.cluster.scaling import Governor, Rule, Seen
from serve_app.cluster.traffic import Request

TOKENS_PER_DOCUMENT = 90
"""About what a passage of MS MARCO has beside a query: the published speeds are in such documents."""
AROUND_S = 0.006
"""HAProxy, router and the ways between them, on top of the replica's time: `loadtest/results/overhead.md`."""
LOOK_EVERY_S = 1.0
WINDOW_S = 10.0
"""In which replicas count what arrives."""


@dataclass(frozen=True, slots=True)
class Run:
    """What came of the requests, in their order."""

    requests: Sequence[Request]
    took_s: Sequence[float]
    replica_s: float
    """Paid for: from the decision for a replica to its end."""
    busy_s: float
    replicas: Sequence[int]
    """That were to be, at each look of the controller."""

    @property
    def most(self) -> int:
        """That were to be at once."""
        return max(self.replicas, default=0)

    @property
    def lasts_s(self) -> float:
        """Until the last request came."""
        return self.requests[-1].at_s


@dataclass
class Fleet:
    """The replicas of one variant, and the events that are still to come."""

    requests: Sequence[Request]
    kind: Kind
    rule: Rule | None
    replicas: list[Replica] = field(default_factory=list)
    queued: deque[int] = field(default_factory=deque)
    """Requests that no replica is up for."""

    def __post_init__(self) -> None:
        self._events: list[tuple[float, int, Replica | None, list[Work]]] = []
        self._order = itertools.count()
        self._took = [0.0] * len(self.requests)
        self._open = 0
        self._up: list[Replica] = []
        self._rng = random.Random(1)  # noqa: S311 - it hides nothing
        self._paid_s = self._busy_s = 0.0
        self._arrived: deque[tuple[float, float]] = deque()
        self._arrived_tokens = 0.0
        self._open_at_looks: deque[int] = deque()
        self._demand = Demand(0.0, 0.0, 0.0, self.kind.tokens_per_s, 0.0)
        self._reported = -float("inf")
        self._targets: list[int] = []
        self._governor = None if self.rule is None else Governor(self.rule)

    def run(self, replicas: int) -> Run:
        """All the requests, with so many replicas up at the beginning; without a rule they stay as many."""
        for _ in range(replicas):
            self._come_up(self._start(0.0), 0.0)
        if self._governor is not None:
            self._at(LOOK_EVERY_S, None)
        now = 0.0
        for index, request in enumerate(self.requests):
            now = self._until(request.at_s)
            self._arrive(index, now)
        while self._open:
            now = self._until(self._events[0][0])
        for replica in self.replicas:
            self._end(replica, max(now, self.requests[-1].at_s))
        return Run(self.requests, self._took, self._paid_s, self._busy_s, self._targets)

    def _at(self, when: float, replica: Replica | None, works: Sequence[Work] = ()) -> None:
        heapq.heappush(self._events, (when, next(self._order), replica, list(works)))

    def _until(self, moment: float) -> float:
        """Let everything happen that does before."""
        while self._events and self._events[0][0] <= moment:
            now, _, replica, works = heapq.heappop(self._events)
            if replica is None:
                self._look(now)
            elif works:
                self._batch_ended(replica, works, now)
            else:
                self._come_up(replica, now)
        return moment

    def _arrive(self, index: int, now: float) -> None:
        tokens = self.requests[index].documents * TOKENS_PER_DOCUMENT
        self._open += 1
        self._arrived.append((now, tokens))
        self._arrived_tokens += tokens
        if self._up:
            self._send(index, now)
        else:
            self.queued.append(index)

    def _send(self, index: int, now: float) -> None:
        one, other = self._rng.choice(self._up), self._rng.choice(self._up)
        chosen = one if one.requests <= other.requests else other
        chosen.add(index, self.requests[index].documents * TOKENS_PER_DOCUMENT, now)
        self._feed(chosen, now)

    def _feed(self, replica: Replica, now: float) -> None:
        while (batch := replica.release(now)) is not None:
            self._at(batch[0], replica, batch[1])

    def _batch_ended(self, replica: Replica, works: Sequence[Work], now: float) -> None:
        replica.batches -= 1
        for work in works:
            work.unscored -= 1
            if not work.unscored:
                self._took[work.request] = now - self.requests[work.request].at_s + AROUND_S
                replica.requests -= 1
                self._open -= 1
        self._feed(replica, now)
        if replica.stopping and not replica.requests:
            self.replicas.remove(replica)
            self._end(replica, now)

    def _start(self, now: float) -> Replica:
        replica = Replica(self.kind, now)
        self.replicas.append(replica)
        return replica

    def _come_up(self, replica: Replica, now: float) -> None:
        if replica.stopping:
            return
        replica.up = True
        self._up.append(replica)
        while self.queued:
            self._send(self.queued.popleft(), now)

    def _end(self, replica: Replica, now: float) -> None:
        self._paid_s += now - replica.since
        self._busy_s += replica.busy_s

    def _look(self, now: float) -> None:
        """The controller decides, by what it was last told."""
        if self.rule is None or self._governor is None:
            return
        pacing = self.rule.pacing
        self._open_at_looks.append(self._open)
        if len(self._open_at_looks) > pacing.look_back_s / LOOK_EVERY_S:
            self._open_at_looks.popleft()
        if now - self._reported >= pacing.report_every_s:
            self._reported, self._demand = now, self._reported_demand(now)
            self._mean_open = sum(self._open_at_looks) / len(self._open_at_looks)
        target = sum(not replica.stopping for replica in self.replicas)
        mean = max(self._mean_open, len(self.queued))  # who finds no replica is told of at once
        wanted = self._governor.target(Seen(self._demand, mean, len(self._up), target), now)
        self._change(wanted - target, now)
        self._targets.append(wanted)
        self._at(now + LOOK_EVERY_S, None)

    def _reported_demand(self, now: float) -> Demand:
        while self._arrived and self._arrived[0][0] < now - WINDOW_S:
            self._arrived_tokens -= self._arrived.popleft()[1]
        of_a_request = self._arrived_tokens / len(self._arrived) if self._arrived else 0.0
        waiting = sum(replica.movable_tokens() for replica in self._up) + len(self.queued) * of_a_request
        return Demand(self._arrived_tokens / WINDOW_S, waiting, of_a_request, self.kind.tokens_per_s, self._open)

    def _change(self, replicas: int, now: float) -> None:
        for _ in range(replicas):
            self._at(now + self.kind.starts_in_s, self._start(now))
        if replicas < 0:
            staying = [replica for replica in self.replicas if not replica.stopping]
            staying.sort(key=lambda replica: (replica.up, replica.requests))  # those that are not up yet go first
            for replica in staying[:-replicas]:
                self._stop(replica, now)

    def _stop(self, replica: Replica, now: float) -> None:
        replica.stopping = True
        if replica.up:
            self._up.remove(replica)
        if not replica.requests:
            self.replicas.remove(replica)
            self._end(replica, now)
