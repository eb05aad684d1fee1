"""How figures are written, on the terminal and in pages: numbers in, words out."""

from collections.abc import Mapping

from loadtest.figures import Figures

NOTHING = "–"
ENOUGH = 1_000
"""Answers, of which p99.9 is more than the slowest."""


def number(value: float | None) -> str:
    """Three digits that count."""
    if value is None:
        return NOTHING
    places = 0 if abs(value) >= 100 or value == round(value) else 1 if abs(value) >= 10 else 2
    return f"{value:,.{places}f}"


def milliseconds(value: float | None) -> str:
    """With its unit; in seconds from ten on."""
    if value is None:
        return NOTHING
    return f"{number(value / 1_000)} s" if value >= 10_000 else f"{number(value)} ms"


def share(value: float | None) -> str:
    """As percent; what is not all of it is not written as 100 %."""
    if value is None:
        return NOTHING
    shown = f"{value:.1%}"
    return shown if shown != "100.0%" else "100%" if value == 1 else "> 99.9%"


def counts(of: Mapping[str, int]) -> str:
    """How often each."""
    return ", ".join(f"{count:,} × {name}" for name, count in of.items()) or "none"


def warnings(of: Figures) -> list[str]:
    """What has to be said wherever these figures are shown."""
    said, generator, latency = [], of.generator, of.whole.latency
    if generator.late:
        said.append(
            f"The load generator of {of.target} was late: p99 {milliseconds(generator.late_p99_ms)} after a request "
            f"was due, {share(generator.cpu_share)} of a core in its busiest process. These figures are not the "
            "service's alone: run it again with more processes, or from a machine of its own."
        )
    if latency is None:
        said.append(f"Nothing was answered by {of.target}: there are no latencies.")
    elif latency.count < ENOUGH:
        said.append(f"Only {latency.count:,} requests were answered by {of.target}: p99.9 is the slowest of them.")
    return said
