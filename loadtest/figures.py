"""What a run says of a service: samples in; rates, percentiles, failures and goodput out, whole and by phase. Pure.

Failed requests have no latency here, as elsewhere: one that is refused at once would make a service look fast. They
are counted, and none of them is good. A phase of a scenario owns the requests that were due in it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf

from loadtest.percentiles import Percentiles, percentiles
from loadtest.samples import Generator, Replicas, Run, Sample

OVERLOADED = 0.99
"""A phase with a smaller share of its requests in time had more load than the service could take, if the next has
less: where the load is no less, requests are late because a queue is left."""


@dataclass(frozen=True, slots=True)
class Rates:
    """A second."""

    requests: float
    documents: float
    tokens: float | None
    """None where the service does not say how many it read."""


@dataclass(frozen=True, slots=True)
class Goodput:
    """What was answered fully and in time, of what was due."""

    requests: float
    """A second."""
    documents: float
    """A second."""
    share: float | None
    """Of the requests; None where none was due."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """What was measured in a stretch of a run."""

    name: str
    began: float
    """Seconds since the run began."""
    seconds: float
    requests: int
    """That were due in it."""
    offered: Rates
    """By when they were due."""
    answered: Rates
    """By when answers came: those after its end are no throughput of it, and a queue that drains adds nothing."""
    latency: Percentiles | None
    """From when a request was due to its whole answer; None where none was answered."""
    queue: Percentiles | None
    """The wait for a replica, by the service's word."""
    goodput: Goodput | None
    """None for a scenario without `slo_ms`."""
    failures: Mapping[str, int]
    """How often each happened, the most frequent first."""

    @property
    def failed(self) -> int:
        """Requests without a ranking of all their documents."""
        return sum(self.failures.values())


@dataclass(frozen=True, slots=True)
class Recovery:
    """What came of an overload when it was over."""

    after: str
    """The phase with less than 99 % of its requests in time, and fewer documents a second after it."""
    seconds: float | None
    """From its end until all requests were in time that were due before the next overload; None if that never came."""


@dataclass(frozen=True, slots=True)
class ReplicaRange:
    """How many replicas of a model ran."""

    first: int
    least: int
    most: int
    last: int


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run."""

    target: str
    scenario: str
    url: str
    began_at: str
    slo_ms: float | None
    whole: Stretch
    phases: Sequence[Stretch]
    """Empty for a scenario that names none."""
    recoveries: Sequence[Recovery]
    models: Mapping[str, int]
    """Answers of each, the most frequent first."""
    replicas: Mapping[str, ReplicaRange]
    """By model."""
    generator: Generator


def figures(run: Run) -> Figures:
    """All of a run."""
    slo_ms = slo_of(run)
    samples = sorted(run.samples, key=lambda sample: sample.due)
    phases = [_phase(*phase, samples, slo_ms) for phase in phases_of(run)]
    return Figures(
        target=run.name,
        scenario=scenario_name(run),
        url=run.url,
        began_at=run.began_at,
        slo_ms=slo_ms,
        whole=_stretch(("whole", 0.0, run.seconds), samples, samples, slo_ms),
        phases=phases,
        recoveries=recoveries(phases, samples, slo_ms),
        models=_counts(sample.model for sample in samples if sample.failure is None and sample.model),
        replicas=_ranges(run.replicas),
        generator=run.generator,
    )


def scenario_name(run: Run) -> str:
    """As the scenario calls itself."""
    return str(run.scenario.get("name") or "unnamed")


def slo_of(run: Run) -> float | None:
    """Milliseconds in which an answer is in time."""
    told = run.scenario.get("slo_ms")
    return None if told is None else float(told)


def phases_of(run: Run) -> list[tuple[str, float, float]]:
    """Name, begin and seconds of each, one after another."""
    phases, began = [], 0.0
    for place, phase in enumerate(run.scenario.get("phases") or (), 1):
        phases.append((str(phase.get("name") or f"phase {place}"), began, float(phase["seconds"])))
        began += float(phase["seconds"])
    return phases


def good(sample: Sample, slo_ms: float) -> bool:
    """Whether it was answered fully and in time."""
    return sample.failure is None and sample.latency_ms <= slo_ms


def recoveries(phases: Sequence[Stretch], samples: Sequence[Sample], slo_ms: float | None) -> list[Recovery]:
    """One for each overloaded phase that requests follow; `samples` in the order in which they were due."""
    if slo_ms is None:
        return []
    overloaded = [phase for phase, after in pairwise(phases) if _overloaded(phase, after)]
    ends = [phase.began + phase.seconds for phase in overloaded]
    until = [*(phase.began for phase in overloaded), inf][1:]
    found = []
    for phase, begin, end in zip(overloaded, ends, until, strict=True):
        following = [sample for sample in samples if begin <= sample.due < end]
        if following:
            found.append(Recovery(phase.name, _recovered_after(following, begin, slo_ms)))
    return found


def _recovered_after(following: Sequence[Sample], begin: float, slo_ms: float) -> float | None:
    if not good(following[-1], slo_ms):
        return None
    late = (after.due for before, after in pairwise(following) if not good(before, slo_ms))
    return max(late, default=begin) - begin


def _overloaded(phase: Stretch, after: Stretch) -> bool:
    if phase.goodput is None or phase.goodput.share is None:
        return False
    return phase.goodput.share < OVERLOADED and after.offered.documents < phase.offered.documents


def _phase(name: str, began: float, seconds: float, samples: Sequence[Sample], slo_ms: float | None) -> Stretch:
    due = [sample for sample in samples if began <= sample.due < began + seconds]
    return _stretch((name, began, seconds), due, samples, slo_ms)


def _stretch(
    named: tuple[str, float, float], due: Sequence[Sample], samples: Sequence[Sample], slo_ms: float | None
) -> Stretch:
    name, began, seconds = named
    came = [sample for sample in samples if sample.failure is None and began <= sample.done < began + seconds]
    answered = [sample for sample in due if sample.failure is None]
    return Stretch(
        name=name,
        began=began,
        seconds=seconds,
        requests=len(due),
        offered=_rates(due, seconds),
        answered=_rates(came, seconds),
        latency=percentiles(sample.latency_ms for sample in answered),
        queue=percentiles(sample.queue_ms for sample in answered if sample.queue_ms is not None),
        goodput=None if slo_ms is None else _goodput(due, seconds, slo_ms),
        failures=_counts(sample.failure for sample in due if sample.failure is not None),
    )


def _rates(samples: Sequence[Sample], seconds: float) -> Rates:
    tokens = [sample.tokens for sample in samples if sample.tokens is not None]
    return Rates(
        requests=_per(len(samples), seconds),
        documents=_per(sum(sample.documents for sample in samples), seconds),
        tokens=_per(sum(tokens), seconds) if tokens else None,
    )


def _goodput(due: Sequence[Sample], seconds: float, slo_ms: float) -> Goodput:
    in_time = [sample for sample in due if good(sample, slo_ms)]
    documents = sum(sample.documents for sample in in_time)
    share = len(in_time) / len(due) if due else None
    return Goodput(_per(len(in_time), seconds), _per(documents, seconds), share)


def _per(amount: float, seconds: float) -> float:
    return amount / seconds if seconds else 0.0


def _counts(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())


def _ranges(seen: Sequence[Replicas]) -> dict[str, ReplicaRange]:
    counts: dict[str, list[int]] = {}
    for each in sorted(seen, key=lambda each: each.at):
        counts.setdefault(each.model, []).append(each.running)
    return {model: ReplicaRange(own[0], min(own), max(own), own[-1]) for model, own in counts.items()}
