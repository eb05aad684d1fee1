"""What share of the engine's documents per second comes through HTTP? `python -m loadtest.share --help`.

The engine is measured by `rerank bench` in a process of its own, the service by requests that it is never without, in
turns: while one works the other is idle. Both rank the same documents for the same queries.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from loadtest.loops import closed_loop
from loadtest.questions import questions_from, sized, write_run
from loadtest.service import Answer, Body, connect, failures, write_bodies

GOAL = 0.9
"""At least this part of the engine's documents/s."""
BENCH = (sys.executable, "-m", "serve_app.scorer.bench")
BENCH_ROUNDS = 3
"""In each of its turns; it prints their median. Starting takes longer than a round of a small model."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Documents per second in each turn, and how often each failure was the service's answer."""

    engine: Sequence[float]
    http: Sequence[float]
    failures: Mapping[str, int]

    @property
    def share(self) -> float:
        """Of the engine's median, the service's."""
        return statistics.median(self.http) / statistics.median(self.engine)


@dataclass(frozen=True, slots=True)
class Streams:
    """What a service is asked for in a turn: whole passes over the bodies, until `seconds` are over."""

    bodies: Sequence[Body]
    streams: int
    seconds: float


def share(
    bench: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- COMMAND...]",
            help="Prints a table with docs/s, and takes MODEL and --run, --documents, --rounds. "
            "Default: python -m serve_app.scorer.bench.",
        ),
    ] = None,
    url: Annotated[str, typer.Option(help="The service.")] = "http://127.0.0.1:8000",
    model: Annotated[str, typer.Option(help="By its name in the catalog.")] = "rerank-tiny",
    run: Annotated[
        Path | None, typer.Option(help="Text: lines {query, candidates: [{text}]}, .gz or not. Default: made up.")
    ] = None,
    documents: Annotated[int, typer.Option(min=1, help="Of a request.")] = 100,
    requests: Annotated[int, typer.Option(min=1, help="Different ones; the engine ranks each once a round.")] = 20,
    streams: Annotated[int, typer.Option(min=1, help="Requests at a time.")] = 8,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of a turn of the service; it ends with a whole pass.")] = 10,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of each.")] = 5,
    to: Annotated[Path | None, typer.Option("--json", help="File for the figures.")] = None,
) -> None:
    """Measure documents/s over HTTP beside the engine's in process, on one machine, in turns.

    The service has to run the model in the same dtype on the same device, and nothing else may be asked of it.
    RERANK_MODELS_DIR says where the engine finds weights.
    """
    questions = sized(questions_from(run), documents)[:requests]
    with TemporaryDirectory() as made:
        text = Path(made) / "run.jsonl"
        write_run(questions, text)
        texts = ["--run", str(text), "--documents", str(documents * len(questions))]
        command = [*(bench or BENCH), model, *texts, "--rounds", str(BENCH_ROUNDS)]
        measured = measure(command, url.rstrip("/"), Streams(write_bodies(questions, model), streams, seconds), rounds)
    Console().print(table(measured))
    Console().print(f"HTTP / engine: {measured.share:.1%} (goal ≥ {GOAL:.0%})", highlight=False)
    if to is not None:
        figures = {**asdict(measured), "share": measured.share}
        to.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def measure(command: Sequence[str], url: str, streams: Streams, rounds: int) -> Measured:
    """The engine, the service, the engine, and so on; before them one pass over HTTP that does not count."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    engine: list[float] = []
    http: list[float] = []
    answers: list[Answer] = []
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("warming up", total=2 * rounds)
        asyncio.run(warm_up(url, streams))
        for _ in range(rounds):
            progress.update(task, description="engine")
            engine.append(run_bench(command))
            progress.update(task, description="HTTP", advance=1)
            docs_per_s, came = asyncio.run(serve(url, streams))
            http.append(docs_per_s)
            answers.extend(came)
            progress.advance(task)
    return Measured(engine, http, failures(answers))


async def warm_up(url: str, streams: Streams) -> None:
    """One pass; ends the program if the service does not rank."""
    async with connect(url) as service:
        await service.warm_up(streams.bodies[:1])
        await closed_loop(service, iter(streams.bodies), streams.streams)


async def serve(url: str, streams: Streams) -> tuple[float, list[Answer]]:
    """Documents per second from idle to idle: until the last answer, and all the answers."""
    async with connect(url) as service:
        began = time.perf_counter()
        answers = await closed_loop(service, _passes(streams.bodies, began + streams.seconds), streams.streams)
    ended = max(answer.came for answer in answers)
    return sum(answer.documents for answer in answers) / (ended - began), answers


def run_bench(command: Sequence[str]) -> float:
    """Documents per second that the command prints; ends the program with its words if it fails."""
    # rich cuts a table to 80 columns where there is no terminal
    wide = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(command, env=wide, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"error: {' '.join(command[:3])} ended with {done.returncode}:\n{done.stderr.strip()}")
    return docs_per_s_in(done.stdout)


def docs_per_s_in(printed: str) -> float:
    """The column of that name, in the first row of a table whose cells hold no spaces up to there."""
    lines = printed.splitlines()
    for heading, row in pairwise(lines):
        if "docs/s" in heading.split():
            return float(row.split()[heading.split().index("docs/s")].replace(",", ""))
    sys.exit(f"error: no column docs/s in what the bench printed:\n{printed}")


def table(measured: Measured) -> Table:
    """A row for the engine and one for the service."""
    shown = Table(box=None, header_style="bold", pad_edge=False)
    shown.add_column("", no_wrap=True)
    for heading in ("docs/s, median", "lowest", "highest", "failed"):
        shown.add_column(heading, justify="right")
    failed = ", ".join(f"{count} x {failure}" for failure, count in measured.failures.items()) or "0"
    for name, values, last in (("engine", measured.engine, "–"), ("HTTP", measured.http, failed)):
        figures = (f"{value:,.0f}" for value in (statistics.median(values), min(values), max(values)))
        shown.add_row(name, *figures, last)
    return shown


def _passes(bodies: Sequence[Body], end: float) -> Iterator[Body]:
    """Whole ones, so that the texts are those of the engine; at least one."""
    while True:
        yield from bodies
        if time.perf_counter() >= end:
            return


if __name__ == "__main__":
    typer.run(share)
