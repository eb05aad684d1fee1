"""What a run says, on the terminal, as JSON and as a page: `python -m loadtest report --help`."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from loadtest.figures import figures
from loadtest.page import page_of, write_page
from loadtest.samples import Run, read_run
from loadtest.summary import summary
from loadtest.wording import warnings

FILE_WIDTH = 160
"""Of what is piped: rich takes 80 for it, which leaves the last column a few letters."""


def report(
    run: Annotated[Path, typer.Argument(metavar="RUN.run.json.gz", help="That `run` wrote.")],
    page: Annotated[Path | None, typer.Option("--html", help="File for a page with charts.")] = None,
    to: Annotated[Path | None, typer.Option("--json", help="File for the figures.")] = None,
) -> None:
    """Show what a run measured.

    Latencies count from the moment that a request was due, percentiles are HdrHistogram's, and failed requests have no
    latency. Good is what was answered fully within the scenario's slo_ms.
    """
    kept = opened(run)
    terminal().print(summary(kept), crop=False)
    if page is not None:
        write_page(page_of(kept), page)
    if to is not None:
        found = figures(kept)
        told = {"warnings": warnings(found), **asdict(found), "settings": dict(kept.scenario)}
        to.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def opened(path: Path) -> Run:
    """The run in a file; ends the program with a sentence where there is none."""
    try:
        return read_run(path)
    except ValueError as error:
        sys.exit(f"error: {error}")


def terminal() -> Console:
    """Wide enough for the tables where what is printed goes into a file."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = FILE_WIDTH
    return console
