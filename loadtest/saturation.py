"""The highest rate that a service holds: `python -m loadtest saturation --help`."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console

from loadtest.bisection import MOST_REPEATS, LateGenerator, Plan, Probe, Saturation, Try, search
from loadtest.bisection import saturation as found_in
from loadtest.dialects import DIALECTS
from loadtest.grids import Grid
from loadtest.probing import prober
from loadtest.report import terminal
from loadtest.scenario import load_scenario
from loadtest.summary import shown_grid
from loadtest.target import Address
from loadtest.wording import milliseconds, number


def saturation(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="With constant or poisson arrivals.")],
    url: Annotated[str, typer.Option(help="The service; the dialect's path is added.")] = "http://127.0.0.1:8000",
    model: Annotated[str | None, typer.Option(help="That is asked for.")] = None,
    dialect: Annotated[str, typer.Option(help=f"One of {', '.join(DIALECTS)}.")] = "native",
    key: Annotated[str | None, typer.Option(envvar="RERANK_API_KEY", help="API key of the service.")] = None,
    text: Annotated[
        Path | None,
        typer.Option("--run", help="Text: lines {query, candidates: [{text}]}, .gz or not. Default: made up."),
    ] = None,
    slo: Annotated[float | None, typer.Option(min=1, help="Of the p99, in ms. Default: the scenario's.")] = None,
    low: Annotated[float, typer.Option("--from", min=0.001, help="Requests/s that the service holds.")] = 0.5,
    high: Annotated[float, typer.Option("--to", min=0.001, help="Requests/s that it does not hold.")] = 50.0,
    resolution: Annotated[float, typer.Option(min=1.001, help="Ratio at which a repeat ends.")] = 1.05,
    repeats: Annotated[int, typer.Option(min=1, max=MOST_REPEATS, help="Of the search, for an interval.")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of a try, at least.")] = 30.0,
    requests: Annotated[int, typer.Option(min=1, help="Of a try, at least.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the arrivals.")] = 0,
    processes: Annotated[int | None, typer.Option(min=1, help="That send.")] = None,
    to: Annotated[Path | None, typer.Option("--json", help="File for the tries and the result.")] = None,
) -> None:
    """Search the highest rate at which no request fails and the p99 stays within a limit.

    Each repeat halves the range by ratios, with arrivals of its own; repeats take turns. The result is the median of
    their highest rates, with Student's t interval of the logarithms at 95 %. A service that scales is measured at the
    size that it has: keep its replicas fixed. Ends with 1 where a try's generator was late, which proves nothing.
    """
    try:
        loaded = load_scenario(scenario)
        plan = Plan(slo or loaded.slo_ms, low, high, resolution, repeats, seconds, requests, seed)
        told = loaded.changed(low, plan.seconds_at(low), processes)
        if dialect not in DIALECTS or low >= high:
            raise ValueError(_mistake(dialect, low, high))
        address = Address(url.rstrip("/"), dialect, key, told.timeout_s)
        tries = tried(prober(urlsplit(url).netloc, told, address, model, text), plan)
        terminal().print(shown_grid(tries_grid(tries)))
        result = found_in(tries, plan)
    except (ValueError, LateGenerator) as error:
        sys.exit(f"error: {error}")
    terminal().print(sentence(result, plan))
    if to is not None:
        asked = {"scenario": told.described(), "url": url, "model": model, **asdict(plan)}
        kept = {"asked": asked, "tries": [asdict(each) for each in tries], "result": asdict(result)}
        to.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def tried(probe: Probe, plan: Plan) -> list[Try]:
    """All tries; each is shown when it is over."""
    tries: list[Try] = []
    console = Console(stderr=True, highlight=False)
    for each in search(probe, plan):
        tries.append(each)
        console.print(", ".join(f"{name} {cell}" for name, cell in zip(_HEADINGS, _row(each), strict=True)))
    return tries


def tries_grid(tries: Sequence[Try]) -> Grid:
    """A row a try, in the order in which they were made."""
    return Grid("repeat", _HEADINGS, [_row(each) for each in tries])


def sentence(result: Saturation, plan: Plan) -> str:
    """The result, with what it is a result of."""
    rate, low, high = (number(each) for each in (result.rate, result.low, result.high))
    return (
        f"Holds {rate} requests/s with a p99 within {milliseconds(plan.slo_ms)} and no failure; 95 % confidence "
        f"interval {low} to {high}, of {plan.repeats} repeats."
    )


_HEADINGS = ("repeat", "requests/s", "seconds", "requests", "p99", "failed", "held")


def _row(each: Try) -> tuple[str, ...]:
    counts = (number(each.rate), number(each.seconds), number(each.requests), milliseconds(each.p99_ms))
    return (str(each.repeat), *counts, number(each.failed), "yes" if each.held else "no")


def _mistake(dialect: str, low: float, high: float) -> str:
    if dialect not in DIALECTS:
        return f"there is no dialect {dialect}; there are {', '.join(DIALECTS)}"
    return f"--from {low:g} has to be below --to {high:g}"
