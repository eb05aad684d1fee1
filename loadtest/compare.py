"""Runs beside each other, on the terminal and as a page: `python -m loadtest compare --help`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from loadtest.comparison import compared
from loadtest.page import write_page
from loadtest.report import opened, terminal
from loadtest.summary import cautions, shown_grid


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="A.run.json.gz B.run.json.gz", help="Two or more.")],
    page: Annotated[Path | None, typer.Option("--html", help="File for a page with charts.")] = None,
) -> None:
    """Show runs of one scenario side by side, each with its ratio to the first.

    Runs of different scenarios are shown as well, under a sentence that says what differs.
    """
    if len(runs) < 2:
        sys.exit("error: one run alone is nothing to compare: name two, or use `report`")
    shown = compared([opened(run) for run in runs])
    console = terminal()
    for caution in cautions(shown.warnings):
        console.print(caution)
    console.print(*(shown_grid(grid) for grid in shown.grids), crop=False)
    if page is not None:
        write_page(shown, page)
