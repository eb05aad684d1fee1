"""Made-up runs: what a service answered is given, and nothing is measured."""

import random
from collections.abc import Sequence
from typing import Any

from loadtest.samples import Generator, Replicas, Run, Sample

PUNCTUAL = Generator(processes=2, cpu_share=0.31, late_p99_ms=1.2, late=False)
LATE = Generator(processes=1, cpu_share=0.99, late_p99_ms=340.0, late=True)
MODEL = "rerank-tiny"


def sample(due: float, latency_ms: float = 100.0, failure: str | None = None, **more: Any) -> Sample:
    """A request that was sent when it was due, of ten documents with 500 tokens unless `more` says otherwise."""
    done = due + latency_ms / 1_000
    answered = failure is None
    known: dict[str, Any] = {
        "due": due,
        "sent": due,
        "first_byte": done if answered else None,
        "done": done,
        "status": 200 if answered else 503,
        "failure": failure,
        "documents": 10,
        "tokens": 500 if answered else None,
        "model": MODEL if answered else "",
        "queue_ms": latency_ms / 2 if answered else None,
    }
    return Sample(**{**known, **more})


def run(samples: Sequence[Sample], seconds: float = 10.0, **more: Any) -> Run:
    """Of a service called `ours`; `more` are other fields of Run."""
    known: dict[str, Any] = {
        "name": "ours",
        "scenario": {"name": "steady", "slo_ms": 500},
        "url": "http://127.0.0.1:8000",
        "began_at": "2026-11-25T12:00:00Z",
        "generator": PUNCTUAL,
    }
    return Run(**{**known, "seconds": seconds, "samples": samples, **more})


def spike(name: str = "ours", capacity: float = 60.0, generator: Generator = PUNCTUAL) -> Run:
    """Three minutes: a load that fits, one that does not, one that fits; a replica is added in the second.

    One queue, answered at so many requests a second (twice as many from 100 s on), with room for 200 requests.
    """
    rng, samples, free, at = random.Random(3), [], 0.0, 0.0
    while (at := at + rng.expovariate(90.0 if 60 <= at < 120 else 30.0)) < 180:
        rate = capacity * (2 if at > 100 else 1)
        if (free - at) * rate > 200:
            samples.append(sample(at, 3.0, "503", documents=20))
            continue
        began, free = max(at, free), max(at, free) + 1 / rate
        took = free + 0.02 + rng.lognormvariate(-4, 0.6) - at
        waited = (began - at) * 1_000
        told: dict[str, Any] = {"documents": 20, "tokens": rng.randint(1_200, 2_600), "queue_ms": waited}
        samples.append(sample(at, took * 1_000, sent=at + rng.lognormvariate(-8, 0.5), **told))
    phases = [
        {"name": each, "seconds": 60, "rate": rate} for each, rate in (("calm", 30), ("spike", 90), ("after", 30))
    ]
    scenario = {"name": "spike", "slo_ms": 500, "documents": 20, "arrivals": "poisson", "phases": phases}
    replicas = [Replicas(float(at), MODEL, 1 if at < 100 else 2) for at in range(0, 180, 5)]
    return run(samples, 180.0, name=name, scenario=scenario, replicas=replicas, generator=generator)
