"""Does a small request wait behind large ones? `python -m loadtest.fairness --help`.

Documents per second are counted from idle to idle. Streams ask for `--seconds` and are then waited for: the window of
a phase reaches from its start to the last large answer, and small requests keep coming until then. So every large
request begins and ends in the window, and none has to be credited by halves. An edge set by the clock would cut six
requests of 1,000 documents apart, a seventh of all that 30 s at 1,400 documents/s can hold; and from the first to the
last completion is right only if requests finish one after another, not if a service works on all of them in turns.
"""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from loadtest.loops import Asked, arrivals, closed_loop, open_loop
from loadtest.phases import Phase, compare, goals, phase_of, table
from loadtest.questions import questions_from, sized
from loadtest.service import Answer, Body, connect, write_bodies

TICK_S = 0.2


@dataclass(frozen=True, slots=True)
class Load:
    """What a service is asked for."""

    small: Sequence[Body]
    large: Sequence[Body]
    rate: float
    """Small requests a second."""
    streams: int
    """Of large requests."""
    seconds: float
    seed: int


def fairness(
    url: Annotated[str, typer.Option(help="The service.")] = "http://127.0.0.1:8000",
    model: Annotated[str | None, typer.Option(help="Default: the service's.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="Text: lines {query, candidates: [{text}]}, .gz or not. Default: made up.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.001, help="Small requests a second.")] = 20.0,
    streams: Annotated[int, typer.Option(min=1, help="Large requests at a time.")] = 6,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each of the three phases.")] = 30.0,
    small: Annotated[int, typer.Option(min=1, help="Documents of a small request.")] = 10,
    large: Annotated[int, typer.Option(min=1, help="Documents of a large request.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the arrivals.")] = 0,
    to: Annotated[Path | None, typer.Option("--json", help="File for the figures.")] = None,
) -> None:
    """Measure whether a small request waits behind large ones, on an otherwise idle service.

    Three phases: small requests alone, at random times (Poisson); large ones alone, in streams that ask when they have
    their answer; both at once. A latency counts from the time that a request was meant to be sent; requests that
    failed have none and are counted apart. A phase ends when the last large request is answered.
    """
    questions = questions_from(run)
    load = Load(
        write_bodies(sized(questions, small), model),
        write_bodies(sized(questions, large), model),
        rate,
        streams,
        seconds,
        seed,
    )
    phases = asyncio.run(measure(url.rstrip("/"), load))
    ratios = compare(phases)
    Console().print(table(phases))
    Console().print(goals(ratios))
    if to is not None:
        asked = {"url": url, "model": model, "run": run.name if run else None, "rate": rate, "streams": streams}
        asked |= {"seconds": seconds, "small_documents": small, "large_documents": large, "seed": seed}
        measured = {"phases": [asdict(phase) for phase in phases], "ratios": asdict(ratios)}
        to.write_text(json.dumps({"asked": asked, **measured}, indent=2) + "\n", encoding="utf-8")


async def measure(url: str, load: Load) -> list[Phase]:
    """Small alone, large alone, both."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    async with connect(url) as service:
        await service.warm_up((load.small[0], load.large[0]))
        with Progress(*columns, console=Console(stderr=True)) as progress:
            phases = []
            for name, has_small, has_large in (("small", True, False), ("large", False, True), ("mixed", True, True)):
                task = progress.add_task(name, total=load.seconds)
                ticking = asyncio.create_task(_tick(progress, task))
                phases.append(await observe(service, load, name, small=has_small, large=has_large))
                ticking.cancel()
                progress.update(task, completed=load.seconds)
    return phases


async def observe(service: Asked, load: Load, name: str, *, small: bool, large: bool) -> Phase:
    """One phase; the service is idle before and after it."""
    began = time.perf_counter()
    window = asyncio.create_task(_large(service, load) if large else _nothing(load.seconds))
    times = arrivals(load.rate, load.seed)
    few = await open_loop(service, cycle(load.small), times, window) if small else []
    many = await window
    ended = max((answer.came for answer in many), default=began + load.seconds)
    return phase_of(name, few, many, began, ended)


async def _large(service: Asked, load: Load) -> list[Answer]:
    until = time.perf_counter() + load.seconds
    return await closed_loop(service, _until(until, load.large), load.streams)


def _until(end: float, bodies: Sequence[Body]) -> Iterator[Body]:
    for body in cycle(bodies):
        yield body
        if time.perf_counter() >= end:
            return


async def _nothing(seconds: float) -> list[Answer]:
    await asyncio.sleep(seconds)
    return []


async def _tick(progress: Progress, task: TaskID) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        progress.advance(task, TICK_S)


if __name__ == "__main__":
    typer.run(fairness)
