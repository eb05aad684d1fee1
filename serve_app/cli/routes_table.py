"""Routes and their changes as tables: what `GET /admin/routes` tells comes in."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.table import Table

Seen = Mapping[str, Any]
"""A route, a lane or a change of the reply."""


def routes_table(routes: Iterable[Seen]) -> Table:
    """A row a lane and a shadow."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("route", "lane", "share", "requests", "failed", "p50 ms", "p99 ms", "agreement", ""):
        table.add_column(heading, justify="left" if heading in {"route", "lane", ""} else "right")
    for route in routes:
        name = route["name"]
        for seen in (*route["lanes"], *route["shadows"]):
            table.add_row(name, *_cells(seen), _note(seen, route))
            name = ""
    return table


def changes_table(changes: Sequence[Seen]) -> Table:
    """A row a change, the newest first."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("version", "when (UTC)", "who", "what"):
        table.add_column(heading, justify="right" if heading == "version" else "left")
    for change in changes:
        when = datetime.fromtimestamp(change["at"], UTC).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(str(change["version"]), when, escape(change["who"]), escape(change["what"]))
    return table


def _cells(seen: Seen) -> tuple[str, ...]:
    return (
        escape(seen["variant"]),
        "shadow" if seen["share"] is None else f"{seen['share']:.1%}",
        f"{seen['requests']:,}",
        f"{seen['failures']:,}",
        *("" if seen[key] is None else f"{seen[key]:,.0f}" for key in ("p50_ms", "p99_ms")),
        "" if seen["mean_tau"] is None else f"{seen['mean_tau']:.2f} of {seen['compared']:,}",
    )


def _note(seen: Seen, route: Seen) -> str:
    if not seen["canary"]:
        return ""
    if not seen["share"]:
        return "canary, without weight"
    against = max(route["evidence"].items(), key=lambda each: each[1], default=None)
    return "canary" if against is None or not against[1] else f"canary; {against[0]}: {against[1]:.0%} towards its end"
