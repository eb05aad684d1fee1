"""What a run of a scenario leaves behind: a sample a request, and what was seen of the service and the generator.

Every request has one, whether it was answered or not: percentiles and plots are made from these, and from nothing that
was summed up on the way. As a file it is gzipped JSON, a column a field, so that a million samples stay small.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

FORMAT = 1
"""Of the file; a reader refuses others."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request. Times are seconds since the run began."""

    due: float
    """When it was meant to be sent: latency counts from here."""
    sent: float
    first_byte: float | None
    """Of the answer; None where none came."""
    done: float
    """When the whole answer was there, or its absence was certain."""
    status: int
    """Of HTTP; 0 where no answer came."""
    failure: str | None
    """None for a ranking of every document; else the status, or why there is none."""
    documents: int
    """That the request has."""
    tokens: int | None
    """That the service says it read."""
    model: str
    """That answered, by the service's word; empty where it says nothing."""
    queue_ms: float | None
    """That the request waited for a replica, by Server-Timing."""

    @property
    def latency_ms(self) -> float:
        """From the moment it was due."""
        return (self.done - self.due) * 1_000


@dataclass(frozen=True, slots=True)
class Replicas:
    """How many replicas of a model answered at some moment."""

    at: float
    model: str
    running: int


@dataclass(frozen=True, slots=True)
class Generator:
    """What the load generator knows of itself."""

    processes: int
    cpu_share: float
    """Of one core, of the busiest process: near 1 it measures itself."""
    late_p99_ms: float
    """Between due and sent."""
    late: bool
    """Whether that is too much for the figures to be the service's."""


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario, run once against one service."""

    name: str
    """Who was measured: the target's, for tables that compare."""
    scenario: Mapping[str, Any]
    """As its file has it, with what the command line changed."""
    url: str
    began_at: str
    """UTC, ISO 8601."""
    seconds: float
    """That requests were due in."""
    generator: Generator
    samples: Sequence[Sample]
    replicas: Sequence[Replicas] = ()


def write_run(run: Run, path: Path) -> None:
    """As `NAME.run.json.gz`; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        "format": FORMAT,
        **{field.name: getattr(run, field.name) for field in fields(Run)},
        "generator": asdict(run.generator),
        "samples": _columns(run.samples, Sample),
        "replicas": _columns(run.replicas, Replicas),
    }
    with gzip.open(path, "wt", encoding="utf-8") as file:
        json.dump(whole, file)


def read_run(path: Path) -> Run:
    """Raises ValueError with a sentence for what is no such file."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            whole = json.load(file)
        if whole.pop("format") != FORMAT:
            raise ValueError(f"{path} was written by another version of loadtest: run the scenario again")
        samples = [Sample(**row) for row in _rows(whole.pop("samples"))]
        replicas = [Replicas(**row) for row in _rows(whole.pop("replicas"))]
        return Run(**{**whole, "generator": Generator(**whole["generator"]), "samples": samples, "replicas": replicas})
    except (OSError, EOFError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is no run of loadtest: {error}") from None


def _columns(rows: Sequence[Any], kind: type[Any]) -> dict[str, list[Any]]:
    return {field.name: [getattr(row, field.name) for row in rows] for field in fields(kind)}


def _rows(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
