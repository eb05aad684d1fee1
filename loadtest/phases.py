"""What a phase of requests measured, and how one phase compares with another: answers in, figures and tables out.

Failed requests have no latency here: one that is refused at once would make a service look fast. They are counted.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

from loadtest.service import Answer, failures

P99_GOAL = 3.0
"""At most so many times the p99 of small requests alone."""
DOCS_GOAL = 0.95
"""At least this part of the documents/s of large requests alone."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What one phase measured; a percentile is None where no small request was ranked."""

    phase: str
    seconds: float
    """Of its window."""
    small: int
    """Small requests asked."""
    large: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    docs_per_s: float
    failures: dict[str, int]
    """How often each status other than 200 was the answer, or each reason why there was none."""


@dataclass(frozen=True, slots=True)
class Ratios:
    """The mixed phase against the other two; None where one of them measured nothing."""

    p99: float | None
    docs_per_s: float | None


def phase_of(name: str, few: Sequence[Answer], many: Sequence[Answer], began: float, ended: float) -> Phase:
    """Out of the answers to small and to large requests; documents count that were ranked in the window."""
    latencies = [answer.latency_ms for answer in few if answer.failure is None]
    documents = sum(answer.documents for answer in (*few, *many) if answer.came <= ended)
    return Phase(
        phase=name,
        seconds=ended - began,
        small=len(few),
        large=len(many),
        p50_ms=percentile(latencies, 50),
        p95_ms=percentile(latencies, 95),
        p99_ms=percentile(latencies, 99),
        docs_per_s=documents / (ended - began),
        failures=failures((*few, *many)),
    )


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The smallest value that so many percent are no larger than: one that was measured, not one between two."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(percent * len(values) / 100) - 1)]


def compare(phases: Sequence[Phase]) -> Ratios:
    """Of small alone, large alone, both."""
    small, large, mixed = phases
    return Ratios(
        p99=mixed.p99_ms / small.p99_ms if mixed.p99_ms is not None and small.p99_ms else None,
        docs_per_s=mixed.docs_per_s / large.docs_per_s if large.docs_per_s else None,
    )


def table(phases: Sequence[Phase]) -> Table:
    """A row a phase."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    shown.add_column("phase", no_wrap=True)
    for heading in ("s", "small", "p50, ms", "p95, ms", "p99, ms", "large", "docs/s", "failed"):
        shown.add_column(heading, justify="right", no_wrap=heading != "failed")
    for phase in phases:
        latencies = [_number(value, ",.1f") for value in (phase.p50_ms, phase.p95_ms, phase.p99_ms)]
        counts = f"{phase.small:,}", *latencies, f"{phase.large:,}", f"{phase.docs_per_s:,.0f}"
        shown.add_row(phase.phase, f"{phase.seconds:.1f}", *counts, _failed(phase))
    return shown


def goals(ratios: Ratios) -> Table:
    """A row a ratio, beside what it should be."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    shown.add_column("", no_wrap=True)
    shown.add_column("ratio", justify="right")
    shown.add_column("goal", justify="right")
    shown.add_row("p99 of small requests, mixed / alone", _number(ratios.p99, ".2f"), f"≤ {P99_GOAL:g}")
    shown.add_row("docs/s, mixed / large alone", _number(ratios.docs_per_s, ".2f"), f"≥ {DOCS_GOAL:g}")
    return shown


def _failed(phase: Phase) -> str:
    if not phase.failures:
        return "0"
    share = sum(phase.failures.values()) / (phase.small + phase.large)
    return f"{share:.1%}: " + ", ".join(f"{count} x {failure}" for failure, count in phase.failures.items())


def _number(value: float | None, spec: str) -> str:
    return "–" if value is None else format(value, spec)
