"""`rerank usage`: what keys have used, asked of a running service, as a table or as CSV."""

import csv
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from serve_app.cli.client import ServiceClient, ServiceError
from serve_app.errors import ConfigurationError
from serve_app.router.usage import Grouping

STDOUT = Path("-")
COUNTS = ("requests", "documents", "pairs", "tokens", "search_units")
Line = Mapping[str, Any]
"""One entry of the reply: the fields it is grouped by, COUNTS, and cost_usd."""


def usage(
    first: Annotated[
        datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day, UTC. Default: the first of this month."),
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day, UTC, included. Default: today.")
    ] = None,
    by: Annotated[str, typer.Option(help="What has a line of its own: day, model, key, in any order.")] = "day,model",
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE|-", help="Write CSV instead of a table; - is stdout.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="The service. Default: RERANK_URL, else http://127.0.0.1:8000.")
    ] = None,
) -> None:
    """Show what was used and what it costs, by day, model and key."""
    fields = _groupings(by)
    now = datetime.now(UTC)
    to_day = (last or now).date()
    from_day = (first or now.replace(day=1)).date()
    if from_day > to_day:
        raise ConfigurationError(f"--from {from_day} is after --to {to_day}: name an earlier day first")
    reply = ServiceClient(url).usage(from_day, to_day, fields)
    if csv_file is not None:
        _write_csv(csv_file, fields, reply["data"])
        return
    console = Console()
    if reply["data"]:
        console.print(_table(fields, reply["data"]), crop=False)
    else:
        console.print(f"nothing was used from {from_day} to {to_day} (UTC)")


def _groupings(by: str) -> tuple[str, ...]:
    fields = tuple(field.strip() for field in by.split(","))
    wrong = [field for field in fields if field not in set(Grouping)]
    if wrong or len(set(fields)) < len(fields):
        raise ConfigurationError(f"--by {by!r} cannot be read: it takes {', '.join(Grouping)}, each once at most")
    return fields


def _table(fields: Sequence[str], lines: Sequence[Line]) -> Table:
    table = Table(box=None, header_style="bold", footer_style="bold", pad_edge=False, show_footer=True)
    for place, field in enumerate(fields):
        width = max(len(field), *(len(line[field]) for line in lines)) if field == "day" else 1
        table.add_column(field, footer="" if place else "total", min_width=width, overflow="fold")
    for name in COUNTS:
        _add_figures(table, name.replace("_", " "), f"{sum(line[name] for line in lines):,}")
    _add_figures(table, "US$", f"{sum(line['cost_usd'] for line in lines):,.6f}")
    for line in lines:
        groups = (escape(line[field]) for field in fields)
        table.add_row(*groups, *(f"{line[name]:,}" for name in COUNTS), f"{line['cost_usd']:,.6f}")
    return table


def _add_figures(table: Table, heading: str, total: str) -> None:
    """A column that a narrow terminal breaks, and does not cut: no figure is longer than their sum."""
    table.add_column(heading, footer=total, justify="right", min_width=max(len(heading), len(total)))


def _write_csv(file: Path, fields: Sequence[str], lines: Sequence[Line]) -> None:
    rows: list[list[Any]] = [[*fields, *COUNTS, "cost_usd"]]
    for line in lines:
        # Nine places, as money is counted: a spreadsheet need not know 7e-06.
        rows.append([line[name] for name in (*fields, *COUNTS)] + [f"{line['cost_usd']:.9f}"])
    if file == STDOUT:
        csv.writer(sys.stdout, lineterminator="\n").writerows(rows)
        return
    try:
        with file.open("w", encoding="utf-8", newline="") as opened:
            csv.writer(opened).writerows(rows)
    except OSError as error:
        raise ServiceError(f"{file} cannot be written: {error.strerror}") from None
