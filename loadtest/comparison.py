"""Runs beside each other: runs in; a row a figure with its ratio to the first run's, and what forbids it, out."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from loadtest.figures import Figures, figures
from loadtest.grids import Grid, flat
from loadtest.page import Page
from loadtest.percentiles import Percentiles
from loadtest.plots import latency_curves, rates_of
from loadtest.samples import Run
from loadtest.wording import NOTHING, milliseconds, number, share, warnings

Measure = Callable[[Figures], float | None]
OF_THE_GENERATOR = frozenset({"processes"})
"""Settings that change who sends, not what is sent."""


def compared(runs: Sequence[Run]) -> Page:
    """All that is shown of them, the first as what the others are measured by."""
    named = labelled(runs)
    found = [figures(run) for run in named]
    said = [*differences(named), *(words for each in found for words in warnings(each))]
    subtitle = "; ".join(f"{each.target}: {each.url}, {each.began_at}" for each in found)
    title = " against ".join(each.target for each in reversed(found))
    return Page(title, subtitle, said, [], [latency_curves(named), rates_of(named)], [beside(found)])


def labelled(runs: Sequence[Run]) -> list[Run]:
    """Each with a name of its own: those that share one get their place."""
    often = Counter(run.name for run in runs)
    return [
        replace(run, name=f"{run.name} ({place})") if often[run.name] > 1 else run for place, run in enumerate(runs, 1)
    ]


def differences(runs: Sequence[Run]) -> list[str]:
    """A sentence for each run that was asked something else than the first."""
    first, *others = runs
    told = ((run, _differing(first, run)) for run in others)
    return [
        f"{run.name} ran another scenario than {first.name}: {'; '.join(differing)}. Ratios between them say nothing "
        "of the services: run the same one against both."
        for run, differing in told
        if differing
    ]


def beside(found: Sequence[Figures]) -> Grid:
    """A row a figure."""
    first, *others = found
    headings = ["", first.target]
    for other in others:
        headings += [other.target, f"to {first.target}"]
    return Grid("Comparison", headings, [_row(name, *_MEASURES[name], found) for name in _MEASURES])


def _row(name: str, measure: Measure, write: Callable[[float | None], str], found: Sequence[Figures]) -> list[str]:
    first, *others = (measure(each) for each in found)
    row = [name, write(first)]
    for value in others:
        row += [write(value), f"× {value / first:.2f}" if value is not None and first else NOTHING]
    return row


def _differing(first: Run, other: Run) -> list[str]:
    ours, theirs = _settings(first), _settings(other)
    names = [name for name in dict.fromkeys((*ours, *theirs)) if ours.get(name) != theirs.get(name)]
    return [f"{name} is {theirs.get(name, 'not set')}, not {ours.get(name, 'set')}" for name in names]


def _settings(run: Run) -> dict[str, str]:
    return flat({name: value for name, value in run.scenario.items() if name not in OF_THE_GENERATOR})


def _latency(percentile: Callable[[Percentiles], float]) -> Measure:
    return lambda found: percentile(found.whole.latency) if found.whole.latency else None


_MEASURES: Mapping[str, tuple[Measure, Callable[[float | None], str]]] = {
    "p50": (_latency(lambda spread: spread.p50), milliseconds),
    "p95": (_latency(lambda spread: spread.p95), milliseconds),
    "p99": (_latency(lambda spread: spread.p99), milliseconds),
    "p99.9": (_latency(lambda spread: spread.p999), milliseconds),
    "offered requests/s": (lambda found: found.whole.offered.requests, number),
    "requests/s": (lambda found: found.whole.answered.requests, number),
    "documents/s": (lambda found: found.whole.answered.documents, number),
    "tokens/s": (lambda found: found.whole.answered.tokens, number),
    "good requests/s": (lambda found: found.whole.goodput.requests if found.whole.goodput else None, number),
    "good": (lambda found: found.whole.goodput.share if found.whole.goodput else None, share),
    "failed": (lambda found: float(found.whole.failed), number),
    "generator, of a core": (lambda found: found.generator.cpu_share, share),
    "generator, p99 late": (lambda found: found.generator.late_p99_ms, milliseconds),
}
