"""How well a service predicts its own time. `python -m loadtest.prediction --help`.

Compared are the header `x-rerank-predicted-ms` and the time from sending a request to its answer, both of the same
answer. The header is the router's guess before it sends documents to a scorer; the time holds HTTP and this client too.
"""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product, takewhile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from loadtest.callers import Callers, Kept
from loadtest.listing import list_models
from loadtest.loops import arrivals
from loadtest.phases import percentile
from loadtest.questions import questions_from, sized
from loadtest.service import Body, client, failures, write_bodies

HEADINGS = ("model", "per s", "requests", "failed", "p50 ms", "ratio p50", "ratio p90", "off p90")


@dataclass(frozen=True, slots=True)
class Fit:
    """Actual against predicted time of one model at one rate; None where nothing was answered."""

    model: str
    rate: float
    """Requests a second."""
    requests: int
    failures: Mapping[str, int]
    p50_ms: float | None
    """Actual, from sending."""
    ratio_p50: float | None
    """Of actual / predicted: above 1, the answer was later than predicted."""
    ratio_p90: float | None
    off_p90: float | None
    """Of |actual / predicted - 1|: a prediction of half the time is off by 1, one of twice the time by 0.5."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The rates, one after another, each for so long."""

    rates: Sequence[float]
    seconds: float
    seed: int

    def times(self, rate: float) -> Iterable[float]:
        """When requests are due at one of the rates."""
        return takewhile(lambda at: at < self.seconds, arrivals(rate, self.seed))


def prediction(
    models: Annotated[str, typer.Option(metavar="A,B", help="Each is asked by its name.")],
    rates: Annotated[str, typer.Option(metavar="A,B", help="Requests a second, one after another.")] = "2,8,16",
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each rate.")] = 20.0,
    url: Annotated[str, typer.Option(help="The service.")] = "http://127.0.0.1:8000",
    key: Annotated[str | None, typer.Option(envvar="RERANK_API_KEY", help="A key with the scope rerank.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Text: lines {query, candidates: [{text}]}, .gz or not. Default: made up.")
    ] = None,
    documents: Annotated[int, typer.Option(min=1, help="Of a request.")] = 20,
    seed: Annotated[int, typer.Option(help="Of the arrivals.")] = 0,
    to: Annotated[Path | None, typer.Option("--json", help="File for the figures.")] = None,
) -> None:
    """Compare what a service predicts with what it takes, on an otherwise idle service.

    Requests come at random times (Poisson), to one model at a time. Predicted: the header x-rerank-predicted-ms.
    Actual: from sending the request to its answer, so HTTP and this client are in it, which the service does not
    predict; p50 ms is its median. A ratio is actual / predicted, of one answer: 1 is right, above 1 the answer was
    late. Off is |ratio - 1|. Failed requests have no ratio.
    """
    steps = Steps(_numbers(rates), seconds, seed)
    questions = sized(questions_from(run), documents)
    bodies = {name: write_bodies(questions, name) for name in models.split(",")}
    fits = asyncio.run(measure(url, key, bodies, steps))
    Console().print(table(fits), crop=False)
    if to is not None:
        asked = {"url": url, "run": run.name if run else None, "documents": documents, **asdict(steps)}
        measured = {"asked": asked, "fits": [asdict(fit) for fit in fits]}
        to.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


async def measure(url: str, key: str | None, bodies: Mapping[str, Sequence[Body]], steps: Steps) -> list[Fit]:
    """Each model of `bodies` at each rate; the service is idle before and after each."""
    fits: dict[tuple[str, float], Fit] = {}
    async with client(url, key) as http:
        listing, callers = await list_models(http), Callers(http)
        listing.require(bodies)
        await callers.warm_up([each[0] for each in bodies.values()])
        with Live(console=Console(stderr=True), refresh_per_second=2) as live:
            for model, rate in product(bodies, steps.rates):
                async for kept in callers.load(bodies[model], steps.times(rate)):
                    fits[model, rate] = fit_of(model, rate, kept)
                    live.update(table(list(fits.values())))
    return list(fits.values())


def fit_of(model: str, rate: float, kept: Sequence[Kept]) -> Fit:
    """Out of the answers of one model at one rate."""
    answers = [each for each in kept if each.failure is None]
    actual_ms = [(each.came - each.asked) * 1000 for each in answers]
    pairs = zip(actual_ms, answers, strict=True)
    ratios = [actual / each.predicted_ms for actual, each in pairs if each.predicted_ms]
    return Fit(
        model=model,
        rate=rate,
        requests=len(kept),
        failures=failures(kept),
        p50_ms=percentile(actual_ms, 50),
        ratio_p50=percentile(ratios, 50),
        ratio_p90=percentile(ratios, 90),
        off_p90=percentile([abs(ratio - 1) for ratio in ratios], 90),
    )


def table(fits: Sequence[Fit]) -> Table:
    """A row a model and rate."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    for heading in HEADINGS:
        shown.add_column(heading, justify="left" if heading == "model" else "right", no_wrap=heading != "failed")
    for fit in fits:
        failed = ", ".join(f"{number} x {failure}" for failure, number in fit.failures.items()) or "0"
        figures = ((fit.p50_ms, ",.0f"), (fit.ratio_p50, ".2f"), (fit.ratio_p90, ".2f"), (fit.off_p90, ".2f"))
        cells = ("–" if figure is None else format(figure, spec) for figure, spec in figures)
        shown.add_row(fit.model, f"{fit.rate:g}", f"{fit.requests:,}", failed, *cells)
    return shown


def _numbers(listed: str) -> list[float]:
    try:
        numbers = [float(each) for each in listed.split(",")]
    except ValueError:
        numbers = []
    if not numbers or min(numbers) <= 0:
        raise typer.BadParameter("numbers above 0 with commas between, as in 2,8,16", param_hint="--rates")
    return numbers


if __name__ == "__main__":
    typer.run(prediction)
