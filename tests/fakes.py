"""Fakes for what a test has to steer: the scorers behind the router, the device behind the scheduler, the clock."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from serve_app import metrics
from serve_app.catalog import Variant
from serve_app.scorer.slices import Slice
from serve_app.scoring import Load, ScoreJob, ScoreOutcome, ScorerState, Timings


@dataclass
class FakeScorers:
    """Scores a document by its length; remembers the jobs; fails with `failure` when it is set."""

    jobs: list[tuple[str, ScoreJob]] = field(default_factory=list)
    states: dict[str, ScorerState] = field(default_factory=dict)
    failure: Exception | None = None
    chunks: int = 1
    """In which each document is read."""
    load: Load = field(default_factory=Load)
    looks: int = 0

    async def score(self, variant: Variant, job: ScoreJob) -> ScoreOutcome:
        self.jobs.append((variant.name, job))
        if self.failure is not None:
            raise self.failure
        logits = tuple(float(len(document)) for document in job.documents)
        tokens, pairs, timings = 7 * len(logits), self.chunks * len(logits), Timings(1.25, 2.5, 30.0)
        return ScoreOutcome(logits, tokens, pairs, timings, self.load)

    async def state(self, variants: Sequence[Variant]) -> list[ScorerState]:
        self.looks += 1
        return [self.states.get(variant.name, ScorerState("idle")) for variant in variants]


class FakeMeter:
    """Adds up what is counted, and keeps what is measured, by the metric's name and its tags in their order."""

    def __init__(self) -> None:
        self.counted: defaultdict[tuple[str, ...], float] = defaultdict(float)
        self.measured: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)

    def count(self, metric: metrics.Counter, by: float, **tags: str) -> None:
        self.counted[self._key(metric, tags)] += by

    def set(self, metric: metrics.Gauge, value: float, **tags: str) -> None:
        self.measured[self._key(metric, tags)] = [value]

    def observe(self, metric: metrics.Histogram, value: float, **tags: str) -> None:
        self.measured[self._key(metric, tags)].append(value)

    def _key(
        self, metric: metrics.Counter | metrics.Gauge | metrics.Histogram, tags: dict[str, str]
    ) -> tuple[str, ...]:
        assert set(tags) == set(metric.tags)
        return metric.name, *(tags[tag] for tag in metric.tags)


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeDevice:
    """Takes slices one release at a time and holds them until `finish` is called; a row's logit is its length."""

    def __init__(self) -> None:
        self.releases: list[list[Slice]] = []
        self.error: Exception | None = None
        self._gate: asyncio.Event | None = None

    async def __call__(self, part: Slice) -> list[float]:
        if self._gate is None:
            self._gate = asyncio.Event()
            self.releases.append([])
        self.releases[-1].append(part)
        await self._gate.wait()
        if self.error is not None:
            raise self.error
        return [float(len(row.ids)) for row in part.rows]

    async def finish(self) -> None:
        """Let what is on the device end, and what follows begin."""
        await settle()
        assert self._gate is not None, "nothing is on the device"
        gate, self._gate = self._gate, None
        gate.set()
        await settle()


async def settle() -> None:
    """Let what can go on go on."""
    for _ in range(10):
        await asyncio.sleep(0)
