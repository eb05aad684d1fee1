"""What a time budget buys while the load grows. `python -m loadtest.budget --help`.

The same ramp of requests goes to `model: auto` with `max_latency_ms`, then to each model by its name. Arrivals and
documents are the same each time; between two ramps all answers are waited for.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live

from loadtest.callers import Callers
from loadtest.listing import Listing, list_models
from loadtest.loops import ramp
from loadtest.questions import questions_from, sized
from loadtest.ramps import Ramp, ramp_of, table
from loadtest.service import Body, client, write_bodies

AUTO = "auto"
FILE_WIDTH = 140
"""Of what is piped: rich takes 80 for it, which leaves the last column a few letters."""
REST_S = 2.0
"""Between two ramps: a service that watches its own load has time to see that it is idle."""


@dataclass(frozen=True, slots=True)
class Climb:
    """How the load grows, and how soon an answer has to come."""

    from_rate: float
    to_rate: float
    """Requests a second."""
    seconds: float
    seed: int
    max_latency_ms: float


def budget(
    models: Annotated[str, typer.Option(metavar="A,B", help="Models that are measured alone, each by its name.")],
    max_latency_ms: Annotated[float, typer.Option(min=1, help="The budget of each request.")] = 300.0,
    url: Annotated[str, typer.Option(help="The service.")] = "http://127.0.0.1:8000",
    from_rate: Annotated[float, typer.Option(min=0.01, help="Requests a second at the start.")] = 1.0,
    to_rate: Annotated[float, typer.Option(min=0.01, help="Requests a second at the end.")] = 20.0,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each ramp.")] = 60.0,
    documents: Annotated[int, typer.Option(min=1, help="Of a request.")] = 20,
    run: Annotated[
        Path | None, typer.Option(help="Text: lines {query, candidates: [{text}]}, .gz or not. Default: made up.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the arrivals.")] = 0,
    key: Annotated[str | None, typer.Option(envvar="RERANK_API_KEY", help="A key with the scope rerank.")] = None,
    to: Annotated[Path | None, typer.Option("--json", help="File for the figures.")] = None,
) -> None:
    """Measure what budget selection makes of a growing load, on an otherwise idle service.

    Requests come at random times (Poisson), ever more of them: first to `auto`, which may choose any model of the
    service that fits the budget, then the same ramp to each of the models alone. A latency counts from the moment that
    a request was meant to be sent. In time: answered within the budget; a failed request is not. NDCG@10: the mean of
    the published figures of what answered, from GET /v1/models, not measured here. Cascades have none and are left out.
    """
    climb = Climb(from_rate, to_rate, seconds, seed, max_latency_ms)
    questions = sized(questions_from(run), documents)
    bodies = {AUTO: write_bodies(questions, AUTO, max_latency_ms=max_latency_ms)}
    bodies |= {name: write_bodies(questions, name) for name in models.split(",")}
    ramps = asyncio.run(measure(url, key, bodies, climb))
    console = Console()
    if not console.is_terminal:
        console.width = FILE_WIDTH
    console.print(table(ramps), crop=False)
    if to is not None:
        asked = {"url": url, "run": run.name if run else None, "documents": documents, **asdict(climb)}
        measured = {"asked": asked, "ramps": [asdict(each) for each in ramps]}
        to.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


async def measure(url: str, key: str | None, bodies: Mapping[str, Sequence[Body]], climb: Climb) -> list[Ramp]:
    """A ramp for each model of `bodies`, in their order."""
    async with client(url, key) as http:
        listing, callers = await list_models(http), Callers(http)
        listing.require(set(bodies) - {AUTO})
        # Those by name first: what `auto` chooses from should have shown how long it takes.
        await callers.warm_up([each[0] for each in reversed(list(bodies.values()))])
        return await _climbed(callers, listing, bodies, climb)


async def _climbed(
    callers: Callers, listing: Listing, bodies: Mapping[str, Sequence[Body]], climb: Climb
) -> list[Ramp]:
    ramps: dict[str, Ramp] = {}
    with Live(console=Console(stderr=True), refresh_per_second=2) as live:
        for model, own in bodies.items():
            await asyncio.sleep(REST_S if ramps else 0)
            times = ramp(climb.from_rate, climb.to_rate, climb.seconds, climb.seed)
            async for kept in callers.load(own, times):
                ramps[model] = ramp_of(model, kept, listing, climb.max_latency_ms)
                live.update(table(list(ramps.values())))
    return list(ramps.values())


if __name__ == "__main__":
    typer.run(budget)
