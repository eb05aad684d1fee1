"""The tables of a report, as words: figures in; headings and rows out, for the terminal and for pages alike."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.figures import Figures, Stretch
from loadtest.samples import Run
from loadtest.wording import counts, milliseconds, number, share

PERCENTILES = ("p50", "p90", "p95", "p99", "p99.9", "slowest")


@dataclass(frozen=True, slots=True)
class Grid:
    """A table; the first column names the row, the others are figures."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


def grids(run: Run, found: Figures) -> list[Grid]:
    """All that is said of a run, those without rows left out."""
    told = (latencies(found), rates(found), failures(found), recoveries(found), replicas(found), generator(found))
    return [grid for grid in (*told, settings(run)) if grid.rows]


def latencies(found: Figures) -> Grid:
    """From when a request was due, whole and by phase; and the wait for a replica."""
    rows = [_latency_row(stretch) for stretch in (found.whole, *found.phases)]
    if found.whole.queue is not None:
        queue = found.whole.queue
        spread = (queue.p50, queue.p90, queue.p95, queue.p99, queue.p999, queue.slowest)
        rows.append(["of it in the queue", number(queue.count), *map(milliseconds, spread)])
    return Grid("Latency", ("", "answered", *PERCENTILES), rows)


def rates(found: Figures) -> Grid:
    """A second, whole and by phase."""
    headings = ("", "s", "offered req/s", "req/s", "docs/s", "tokens/s", "good req/s", "good docs/s", "good", "failed")
    return Grid("Throughput", headings, [_rate_row(stretch) for stretch in (found.whole, *found.phases)])


def failures(found: Figures) -> Grid:
    """By kind, the most frequent first."""
    requests = found.whole.requests
    rows = [(kind, number(count), share(count / requests)) for kind, count in found.whole.failures.items()]
    return Grid("Failures", ("", "requests", "of all"), rows)


def recoveries(found: Figures) -> Grid:
    """After each overload."""
    rows = [(each.after, "never" if each.seconds is None else f"{number(each.seconds)} s") for each in found.recoveries]
    return Grid("Recovery after an overload", ("", f"all in {milliseconds(found.slo_ms)} again after"), rows)


def replicas(found: Figures) -> Grid:
    """By model, with the answers of each."""
    models = dict.fromkeys((*found.models, *found.replicas))
    return Grid(
        "Models",
        ("", "answers", "replicas at first", "least", "most", "at last"),
        [(model, number(found.models.get(model, 0)), *_replica_cells(found, model)) for model in models],
    )


def generator(found: Figures) -> Grid:
    """What it knows of itself."""
    own = found.generator
    row = ("LATE" if own.late else "in time", number(own.processes), share(own.cpu_share))
    return Grid(
        "Load generator",
        ("", "processes", "of a core, busiest", "p99 after due"),
        [(*row, milliseconds(own.late_p99_ms))],
    )


def settings(run: Run) -> Grid:
    """Of the scenario, each on a line."""
    return Grid("Scenario", ("", "value"), list(flat(run.scenario).items()))


def flat(told: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """What lies in other things by its path: `arrivals.rate`, `phases.1.name`; what is empty is left out."""
    found: dict[str, str] = {}
    for name, value in told.items():
        path = f"{above}{name}"
        if isinstance(value, list):
            value = {str(place): each for place, each in enumerate(value, 1)}
        if isinstance(value, Mapping):
            found |= flat(value, f"{path}.")
        elif value is not None:
            found[path] = str(value)
    return found


def _latency_row(stretch: Stretch) -> list[str]:
    spread = stretch.latency
    if spread is None:
        return [stretch.name, "0", *("–" for _ in PERCENTILES)]
    told = (spread.p50, spread.p90, spread.p95, spread.p99, spread.p999, spread.slowest)
    return [stretch.name, number(spread.count), *map(milliseconds, told)]


def _rate_row(stretch: Stretch) -> list[str]:
    good, answered = stretch.goodput, stretch.answered
    return [
        stretch.name,
        number(stretch.seconds),
        number(stretch.offered.requests),
        *(number(each) for each in (answered.requests, answered.documents, answered.tokens)),
        *((number(good.requests), number(good.documents), share(good.share)) if good else ("–", "–", "–")),
        counts(stretch.failures) if stretch.failures else "0",
    ]


def _replica_cells(found: Figures, model: str) -> list[str]:
    ran = found.replicas.get(model)
    return ["–"] * 4 if ran is None else [number(each) for each in (ran.first, ran.least, ran.most, ran.last)]
