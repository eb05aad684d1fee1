"""Traffic to plan for: rates and sizes come in, or a file of what was asked, and requests with their moments go out.

Seconds count from the beginning of the traffic. It knows documents, and nothing of tokens, replicas or models.
"""

import csv
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from serve_app.errors import ConfigurationError

HEADER = ("at_s", "documents")
"""The columns of a trace."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    at_s: float
    documents: int


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of traffic: so many requests a second at its begin and its end, a part of them of MANY documents."""

    name: str
    seconds: float
    begin_per_s: float
    end_per_s: float
    large: float

    def per_s(self, after_s: float) -> float:
        """The rate so long after its begin."""
        return self.begin_per_s + (self.end_per_s - self.begin_per_s) * after_s / self.seconds


FEW, MANY = 10, 1_000
MIXED = (
    Phase("small requests", 200, 160, 160, 0.0),
    Phase("ever more of them", 300, 160, 1_280, 0.0),
    Phase("as many for a while", 100, 1_280, 1_280, 0.0),
    Phase("ever fewer", 300, 1_280, 160, 0.0),
    Phase("as many as at first, three in a hundred large", 300, 160, 160, 0.03),
    Phase("large ones alone", 300, 12, 12, 1.0),
    Phase("next to nothing", 900, 0.01, 0.01, 0.0),
    Phase("both, ever more", 300, 20, 240, 0.05),
)
"""45 minutes, in which how many requests come says little of how much work they are."""


def steady(per_s: float, documents: int, seconds: float, seed: int = 1) -> list[Request]:
    """Requests of one size at one rate, each at a moment that has nothing to do with the others'."""
    rng = random.Random(seed)  # noqa: S311 - it hides nothing
    return [Request(at_s, documents) for at_s in _moments(rng, Phase("steady", seconds, per_s, per_s, 0.0))]


def phased(phases: Iterable[Phase], seed: int = 1) -> list[Request]:
    """One phase after the other, in requests of FEW and of MANY documents."""
    rng = random.Random(seed)  # noqa: S311 - it hides nothing
    requests: list[Request] = []
    begins = 0.0
    for phase in phases:
        for after_s in _moments(rng, phase):
            requests.append(Request(begins + after_s, MANY if rng.random() < phase.large else FEW))
        begins += phase.seconds
    return requests


def _moments(rng: random.Random, phase: Phase) -> Iterator[float]:
    now = rng.expovariate(phase.per_s(0.0))
    while now < phase.seconds:
        yield now
        now += rng.expovariate(phase.per_s(now))


def read_trace(path: Path) -> list[Request]:
    """A CSV file with the columns at_s, documents, in any order of time; raises ConfigurationError with the line."""
    try:
        with path.open(encoding="utf-8", newline="") as opened:
            rows = csv.DictReader(opened)
            if not set(HEADER) <= set(rows.fieldnames or ()):
                raise ConfigurationError(f"{path}: a trace begins with the line {','.join(HEADER)}")
            requests = [_request(path, rows.line_num, row) for row in rows]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the trace {path} cannot be read: {error}") from error
    if not requests:
        raise ConfigurationError(f"the trace {path} has no requests")
    return sorted(requests, key=lambda request: request.at_s)


def _request(path: Path, line: int, row: dict[str, str]) -> Request:
    try:
        request = Request(float(row["at_s"]), int(row["documents"]))
    except (TypeError, ValueError):
        raise ConfigurationError(f"{path}, line {line}: seconds and a number of documents are expected") from None
    if not (0 <= request.at_s < float("inf") and request.documents >= 1):
        raise ConfigurationError(f"{path}, line {line}: seconds are not negative, and documents at least 1")
    return request
