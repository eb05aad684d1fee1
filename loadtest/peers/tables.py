"""What was measured as Markdown: rows in two groups, floats and int8, with ours first in each.

Peers of a group compare with ours of the same group; int8 scores differ from the weights' own.
"""

import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from loadtest.peers.comparison import SLO_MS, Compared, Plan, Standing
from loadtest.peers.mixed import Mixed
from loadtest.peers.overload import Overloaded
from loadtest.peers.peer import Numbers, Peer

MIB = 2**20
NOTHING = "–"
TITLES: Mapping[Numbers, str] = {"floats": "fp32, ours in the machine's own floats", "int8": "int8"}
Row = TypeVar("Row")


def compared_table(peers: Sequence[Peer], compared: Compared, plan: Plan) -> str:
    """Speed, waiting at the rate of all, saturation, memory."""
    headings = (
        *("docs/s", "lowest – highest", "of ours", "requests/s"),
        *("p50 ms", "p95 ms", "p99 ms", "requests", "failed", f"saturation, requests/s at p99 ≤ {SLO_MS:g} ms"),
        "peak memory, MiB",
    )
    said = (
        f"Requests of {plan.documents} documents; medians of {plan.rounds} rounds, {plan.seconds:g} s each. Latency at "
        f"{compared.rate:.3g} requests/s for all, from all rounds."
    )

    def cells(standing: Standing, ours: Standing | None) -> list[str]:
        docs_per_s = statistics.median(standing.best)
        beside = None if ours is None else docs_per_s / statistics.median(ours.best)
        late = " (generator late)" if standing.late else ""
        return [
            *(f"{docs_per_s:,.0f}", f"{min(standing.best):,.0f} – {max(standing.best):,.0f}"),
            *(_number(beside, ".2f"), f"{docs_per_s / plan.documents:.3g}"),
            *(_number(standing.latency_ms(percent), ",.0f") for percent in (50, 95, 99)),
            *(f"{standing.asked}{late}", str(standing.failed), _number(standing.saturation, ".3g")),
            f"{standing.peak_bytes / MIB:,.0f}",
        ]

    return f"{said}\n\n{_grouped(peers, compared.standings, headings, cells)}"


def overload_table(peers: Sequence[Peer], found: Mapping[str, Overloaded]) -> str:
    """What three times the capacity leaves."""
    headings = (
        *("capacity, requests/s", "sent", "answered in 15 s", "refused", "answers/s of capacity"),
        *("memory grown, MiB", "peak, MiB", "recovered after, s"),
    )

    def cells(each: Overloaded, _: Overloaded | None) -> list[str]:
        answered = f"{each.answered} ({each.answered / each.sent:.0%})" if each.sent else NOTHING
        return [
            *(f"{each.capacity:.3g}", str(each.sent), answered, str(each.refused), f"{each.goodput:.0%}"),
            *(f"{each.grown_bytes / MIB:,.0f}", f"{each.peak_bytes / MIB:,.0f}", _number(each.recovered_s, ".0f")),
        ]

    return _grouped(peers, found, headings, cells)


def mixed_table(peers: Sequence[Peer], found: Mapping[str, Mixed]) -> str:
    """What small requests wait for."""
    headings = (
        *("alone, p50 ms", "p99 ms", "beside large, p50 ms", "p99 ms", "small requests", "failed"),
        "docs/s of all",
    )

    def cells(each: Mixed, _: Mixed | None) -> list[str]:
        beside = each.beside
        times = (each.alone.p50_ms, each.alone.p99_ms, beside.p50_ms, beside.p99_ms)
        return [
            *(_number(value, ",.0f") for value in times),
            *(str(beside.small), str(sum(beside.failures.values())), f"{beside.docs_per_s:,.0f}"),
        ]

    return _grouped(peers, found, headings, cells)


def settings_table(peers: Sequence[Peer]) -> str:
    """Who they are."""
    rows = [
        (peer.name, peer.what, peer.settings, ", ".join(peer.packages) or "this project's own environment")
        for peer in peers
    ]
    return _markdown(("peer", "what", "settings", "packages"), rows, numbers=0)


def _grouped(
    peers: Sequence[Peer],
    found: Mapping[str, Row],
    headings: Sequence[str],
    cells: Callable[[Row, Row | None], Sequence[str]],
) -> str:
    parts = []
    for numbers, title in TITLES.items():
        group = [peer for peer in peers if peer.numbers == numbers and peer.name in found]
        ours = next((found[peer.name] for peer in group if peer.ours), None)
        rows = [(peer.name, *cells(found[peer.name], ours)) for peer in group]
        if rows:
            parts.append(f"**{title}**\n\n{_markdown(('peer', *headings), rows, numbers=len(headings))}")
    return "\n\n".join(parts)


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: int) -> str:
    """The last columns, so many, hold numbers."""
    rule = ["-"] * (len(headings) - numbers) + ["-:"] * numbers
    lines = (headings, *rows)
    shown = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([shown[0], f"|{'|'.join(rule)}|", *shown[1:]])


def _number(value: float | None, how: str) -> str:
    return NOTHING if value is None else format(value, how)
