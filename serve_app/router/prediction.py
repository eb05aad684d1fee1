"""How long a variant would take to answer. Jobs that are sent and outcomes that come back go in, milliseconds come out.

    predicted = (tokens ahead + own tokens) / tokens per second + what came on top of that so far

Pure: the clock is an argument. It knows no replica, no handle and no batch: a variant is one queue, the job that looks
shortest first, as the scheduler has it. So it overestimates where this router has just sent much to
several replicas, and underestimates where small jobs come later and pass, or large ones share a small one's batch.
Tokens are padded ones, as the scorer counts its queue and its pace.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from serve_app.catalog import Variant
from serve_app.scoring import Load, Reading, ScoreOutcome, Waiting

CHARACTERS_PER_TOKEN = 4.2
"""Of English text, until a variant has answered."""
MOST_TOKENS = 512
"""Of one pair: what the models read at once."""
TOKENS_PER_PUBLISHED_DOCUMENT = 90.0
"""About what a passage of MS MARCO has beside a query: the published speeds are in such documents."""
MOST_ON_THE_WAY_S = 0.5
"""A job that was longer between router and scorer waited for a replica to start, or was sent twice: nothing to expect
of the next. Counted, a start of 6.7 s had requests of 20 ms predicted to take seconds."""
FORGOTTEN_HALF_S = 30.0
"""In which what came on top counts half, when no job is answered: it is what a busy machine adds, and a variant that is
not chosen because of it would never show that the machine is idle again. Without, a bad minute had one of two variants
passed over for good (`loadtest/results/budget-two-cores.md`)."""
NEWEST = 0.1
"""Part of the newest sample in a decayed mean: the last ten or so decide it."""


class DecayedMean:
    """A mean in which samples count ever less; `start` until there is one."""

    def __init__(self, start: float) -> None:
        self.value = start
        self._share = 1.0

    def add(self, sample: float) -> None:
        """The first sample replaces the start, the second counts half, and none less than NEWEST."""
        self.value += self._share * (sample - self.value)
        self._share = max(NEWEST, self._share / (1 + self._share))


@dataclass(frozen=True, slots=True)
class Extent:
    """How much text a job has: the characters of each pair, query included, and how much of it is wanted."""

    pairs: Sequence[int]
    total: int
    longest: int
    reading: Reading

    @classmethod
    def of(cls, queries: Sequence[str], documents: Sequence[str], reading: Reading) -> "Extent":
        """Measured as characters, since the router has no tokenizer."""
        asked = list(map(len, queries)) * (len(documents) if len(queries) == 1 else 1)
        pairs = [query + len(document) for query, document in zip(asked, documents, strict=True)]
        return cls(pairs, sum(pairs), max(pairs), reading)

    def part(self, documents: int) -> "Extent":
        """Of so many of the documents, as if these were the first: which ones a cascade keeps is not known before."""
        pairs = self.pairs[:documents]
        return Extent(pairs, sum(pairs), max(pairs), self.reading)

    def read(self, characters_per_token: float) -> float:
        """Characters that a model reads, where so many make a token."""
        most = characters_per_token * self._most_tokens()
        return self.total if self.longest <= most else sum(min(characters, most) for characters in self.pairs)

    def _most_tokens(self) -> int:
        """Of a pair. The query comes on top of what is wanted of a document: it is short."""
        most = MOST_TOKENS * self.reading.max_chunks_per_doc
        wanted = self.reading.max_tokens_per_doc
        return most if wanted is None else min(most, wanted)


@dataclass(slots=True)
class _Known:
    """What one variant has shown of itself."""

    characters_per_token: DecayedMean = field(default_factory=lambda: DecayedMean(CHARACTERS_PER_TOKEN))
    overhead_s: DecayedMean = field(default_factory=lambda: DecayedMean(0.0))
    answered: float = 0.0
    """When a job was answered last."""
    pace: float | None = None
    """Padded tokens a second."""
    on_device: float = 0.0
    waiting: Sequence[Waiting] = ()
    """What waited at `seen`, what goes first first."""
    seen: float = 0.0

    def tokens_of(self, extent: Extent) -> float:
        """Tokens of a job, as far as its characters tell."""
        characters_per_token = self.characters_per_token.value
        return extent.read(characters_per_token) / characters_per_token

    def see(self, on_device: float, waiting: Iterable[Waiting], now: float) -> None:
        """What there is to do now."""
        self.on_device, self.seen = on_device, now
        self.waiting = sorted(waiting, key=lambda job: job.apparent_tokens)

    def drain(self, pace: float, now: float) -> None:
        """Forget what the device has got through since it was seen."""
        done = pace * (now - self.seen)
        on_device = max(0.0, self.on_device - done)
        done -= self.on_device - on_device
        left = []
        for job in self.waiting:
            spent = min(done, job.tokens)
            done -= spent
            if spent < job.tokens:
                share = 1 - spent / job.tokens
                left.append(Waiting(job.tokens * share, job.apparent_tokens * share))
        self.see(on_device, left, now)

    def ahead_of(self, tokens: float) -> float:
        """Tokens that go before a job of so many."""
        return self.on_device + sum(job.tokens for job in self.waiting if job.apparent_tokens <= tokens)

    def on_top_s(self, now: float) -> float:
        """What to expect beside queue and own tokens: what was seen, the less of it the longer ago."""
        return float(self.overhead_s.value * 0.5 ** ((now - self.answered) / FORGOTTEN_HALF_S))

    def learn_pace(self, load: Load, inference_s: float) -> None:
        """The scorer's own, once it has one; until then the best that a job has shown.

        What a small batch costs beside its tokens, and sharing one, only make a job look slower than the pace.
        """
        if load.tokens_per_s is not None:
            self.pace = load.tokens_per_s
        elif load.job_tokens and inference_s > 0:
            self.pace = max(self.pace or 0.0, load.job_tokens / inference_s)


class Predictor:
    """What the router has seen of each variant."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._machine = DecayedMean(math.log(TOKENS_PER_PUBLISHED_DOCUMENT))
        """Log of tokens a second here for each published document a second: of a V100 until an outcome tells."""

    def milliseconds(self, variant: Variant, extent: Extent) -> float:
        """Until an answer to a job that is sent now."""
        known, pace = self._of(variant), self._pace(variant)
        known.drain(pace, self._clock())
        tokens = known.tokens_of(extent)
        return 1_000 * ((known.ahead_of(tokens) + tokens) / pace + known.on_top_s(self._clock()))

    def sent(self, variant: Variant, extent: Extent) -> None:
        """A job is on its way, and will be in the queue of those that follow."""
        known, now = self._of(variant), self._clock()
        known.drain(self._pace(variant), now)
        tokens = known.tokens_of(extent)
        known.see(known.on_device, (*known.waiting, Waiting(tokens, tokens)), now)

    def answered(self, variant: Variant, extent: Extent, outcome: ScoreOutcome, took_s: float) -> None:
        """The outcome of a job, `took_s` after it was sent: it tells what to expect of the next."""
        known, load = self._of(variant), outcome.load
        known.see(load.device_tokens, load.waiting, self._clock())
        known.learn_pace(load, outcome.timings.inference_ms / 1_000)
        if known.pace is not None:
            self._machine.add(math.log(known.pace / variant.figures.docs_per_second_v100))
        if load.job_tokens:
            read = extent.read(known.characters_per_token.value)
            known.characters_per_token.add(max(1.0, read) / load.job_tokens)
        own_s = load.job_tokens / self._pace(variant)
        timings = outcome.timings
        in_scorer_s = (timings.queue_ms + timings.tokenize_ms + timings.inference_ms) / 1_000
        if took_s - in_scorer_s < MOST_ON_THE_WAY_S:
            # Not below none: a pace that is told too low would have small jobs take no time at all.
            known.overhead_s.value = known.on_top_s(self._clock())
            known.overhead_s.add(max(0.0, took_s - timings.queue_ms / 1_000 - own_s))
            known.answered = self._clock()

    def _of(self, variant: Variant) -> _Known:
        return self._known.setdefault(variant.name, _Known())

    def _pace(self, variant: Variant) -> float:
        return self._of(variant).pace or math.exp(self._machine.value) * variant.figures.docs_per_second_v100
