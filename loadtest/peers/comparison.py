"""Speed and waiting of the peers, in rounds: documents/s of closed loops, latency at one rate for all, saturation.

First everybody is started once for its capacity, which says what rate all can hold. In each round everybody is started
again; in the last one the load of each climbs to its own capacity.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from loadtest.peers.field import Field, docs_per_s, warm_up
from loadtest.peers.generator import Measure, due_in, steady, steps
from loadtest.peers.server import Server
from loadtest.phases import percentile
from loadtest.samples import Run
from loadtest.service import Body

STREAMS = 1, 4
"""Of closed loops: some do best with one request at a time. The better one counts."""
SHARE = 0.6
"""Of the slowest peer's capacity: the rate for all, unless another one is asked for."""
CLIMB = 0.2, 0.4, 0.6, 0.8, 0.9, 1.0
"""Multiples of a peer's own capacity, one after another."""
SLO_MS = 500.0
TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of everybody."""

    bodies: Sequence[Body]
    documents: int
    """Of each of them."""
    seconds: float
    """Of each measurement."""
    rounds: int
    rate: float | None
    """Requests a second for all; None for a share of what the slowest can do."""


@dataclass(slots=True)
class Standing:
    """What was measured of one peer."""

    closed: dict[int, list[float]] = field(default_factory=dict)
    """Documents/s of each round, by the number of streams."""
    runs: list[Run] = field(default_factory=list)
    """At the rate of all, one a round."""
    saturation: float | None = None
    """Requests/s up to which p99 is at most SLO_MS; 0 if it is above at the lowest rate."""
    peak_bytes: int = 0

    @property
    def best(self) -> Sequence[float]:
        """Documents/s of each round, with the number of streams whose median is the highest."""
        return max(self.closed.values(), key=statistics.median)

    @property
    def late(self) -> bool:
        """Whether the load generator was too slow for its figures to be the peer's."""
        return any(run.generator.late for run in self.runs)

    def latency_ms(self, percent: float) -> float | None:
        """Of what was ranked in all rounds."""
        return percentile([s.latency_ms for run in self.runs for s in run.samples if s.failure is None], percent)

    @property
    def asked(self) -> int:
        """Requests at the rate of all."""
        return sum(len(run.samples) for run in self.runs)

    @property
    def failed(self) -> int:
        """Of these."""
        return sum(sample.failure is not None for run in self.runs for sample in run.samples)


@dataclass(frozen=True, slots=True)
class Compared:
    """Everybody's standing, by name, and the rate that all had."""

    standings: Mapping[str, Standing]
    rate: float


def compare(everybody: Field, plan: Plan, measure: Measure) -> Compared:
    """Look at the capacities, then go round."""
    capacities = everybody.turn(0, "capacity", lambda server: closed(server, plan, plan.seconds / 4))
    slowest = min((max(each.values()) for each in capacities.values()), default=1.0) / plan.documents
    rate = plan.rate or SHARE * slowest
    standings = {name: Standing() for name in capacities}
    for number in range(1, plan.rounds + 1):

        def take_turn(server: Server, last: bool = number == plan.rounds) -> None:
            _measure(server, plan, rate, measure, standings[server.peer.name], climbs=last)

        everybody.turn(number, f"round {number} of {plan.rounds}", take_turn)
    return Compared({name: each for name, each in standings.items() if name not in everybody.failed}, rate)


def closed(server: Server, plan: Plan, seconds: float) -> dict[int, float]:
    """Documents/s by the number of streams, each for half of the seconds."""
    asyncio.run(warm_up(server, plan.bodies))
    return {
        streams: asyncio.run(
            docs_per_s(server, _until(time.monotonic() + seconds / len(STREAMS), plan.bodies), streams)
        )
        for streams in STREAMS
    }


def saturation(server: Server, plan: Plan, capacity: float, measure: Measure) -> float:
    """The highest rate of a climb, in requests/s, that this and all lower ones are ranked at with p99 ≤ SLO_MS."""
    stages = [(f"{share:.0%}", share, plan.seconds / 2) for share in CLIMB]
    run = measure(server, steps(stages, plan.documents, TIMEOUT_S, SLO_MS), capacity)
    held = 0.0
    for name, share, _ in stages:
        due = due_in(run, name)
        p99 = percentile([sample.latency_ms for sample in due], 99)
        if any(sample.failure for sample in due) or (p99 is not None and p99 > SLO_MS):
            break
        held = share * capacity if due else held
    return held


def _measure(server: Server, plan: Plan, rate: float, measure: Measure, standing: Standing, *, climbs: bool) -> None:
    for streams, value in closed(server, plan, plan.seconds).items():
        standing.closed.setdefault(streams, []).append(value)
    standing.runs.append(measure(server, steady(plan.documents, plan.seconds, TIMEOUT_S, SLO_MS), rate))
    if climbs:
        capacity = statistics.median(standing.best) / plan.documents
        standing.saturation = saturation(server, plan, capacity, measure)
    server.bytes_now()
    standing.peak_bytes = max(standing.peak_bytes, server.peak_bytes)


def _until(end: float, bodies: Sequence[Body]) -> Iterator[Body]:
    for body in cycle(bodies):
        yield body
        if time.monotonic() >= end:
            return
