"""What came of a ramp of requests: answers and published figures in; shares, times and a table out.

Failed requests have no latency, as elsewhere here, but they count as not in time: a caller with a budget has nothing.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from loadtest.callers import Kept
from loadtest.listing import Listing
from loadtest.phases import percentile
from loadtest.service import failures

HEADINGS = ("model", "requests", "in time", "p50 ms", "p99 ms", "NDCG@10", "degraded", "failed", "answered by")


@dataclass(frozen=True, slots=True)
class Ramp:
    """What one ramp measured; None where nothing was there to measure."""

    model: str
    """That was asked for."""
    requests: int
    in_time: float | None
    """Share of the requests that were answered within the budget, from when they were due."""
    p50_ms: float | None
    p99_ms: float | None
    models: Mapping[str, float]
    """Share of the answers that each model gave, the greatest first."""
    ndcg10: float | None
    """Mean of what was published of the models that answered."""
    without_figure: int
    """Answers that the mean leaves out: nothing was published of what gave them, as of a cascade."""
    degraded: float | None
    """Share of the answers."""
    failures: Mapping[str, int]


def ramp_of(model: str, kept: Sequence[Kept], listing: Listing, max_latency_ms: float) -> Ramp:
    """Out of the answers to one ramp's requests."""
    answers = [each for each in kept if each.failure is None]
    latencies = [each.latency_ms for each in answers]
    published = [listing.ndcg10[each.model] for each in answers if each.model in listing.ndcg10]
    counted = Counter(listing.name(each.model) for each in answers)
    return Ramp(
        model=model,
        requests=len(kept),
        in_time=_share(sum(latency <= max_latency_ms for latency in latencies), len(kept)),
        p50_ms=percentile(latencies, 50),
        p99_ms=percentile(latencies, 99),
        models={name: number / len(answers) for name, number in counted.most_common()},
        ndcg10=_share(sum(published), len(published)),
        without_figure=len(answers) - len(published),
        degraded=_share(sum(each.degraded for each in answers), len(answers)),
        failures=failures(kept),
    )


def table(ramps: Sequence[Ramp]) -> Table:
    """A row a ramp."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for heading in HEADINGS:
        wraps = heading in {"failed", "answered by"}
        shown.add_column(heading, justify="left" if heading in {"model", "answered by"} else "right", no_wrap=not wraps)
    for ramp in ramps:
        failed = ", ".join(f"{number} x {failure}" for failure, number in ramp.failures.items()) or "0"
        by = ", ".join(f"{name} {share:.0%}" for name, share in ramp.models.items())
        figures = (ramp.in_time, ramp.p50_ms, ramp.p99_ms, ramp.ndcg10, ramp.degraded)
        specs = (".1%", ",.0f", ",.0f", ".2f", ".1%")
        cells = ("–" if figure is None else format(figure, spec) for figure, spec in zip(figures, specs, strict=True))
        shown.add_row(ramp.model, f"{ramp.requests:,}", *cells, failed, by)
    if left_out := sum(ramp.without_figure for ramp in ramps):
        shown.caption = f"NDCG@10 leaves out {left_out:,} answers of models without a published figure, as cascades are"
    return shown


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None
