"""Other rerankers beside ours, on this machine and with the same weights: `python -m loadtest.peers --help`."""

import platform
import sys
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import psutil
import typer
from rich.console import Console

from loadtest.peers import tables
from loadtest.peers.comparison import Plan, compare
from loadtest.peers.environments import default_cache, programs
from loadtest.peers.field import Field
from loadtest.peers.generator import Generator
from loadtest.peers.mixed import mixed
from loadtest.peers.overload import overload
from loadtest.peers.peer import PEERS, Peer, chosen
from loadtest.peers.server import Server, Weights, started
from loadtest.questions import questions_from, sized
from loadtest.service import write_bodies


def peers(
    weights: Annotated[
        Path, typer.Option(help="A model's folder, named as on the hub; loadtest.peers.random_weights makes one.")
    ],
    model: Annotated[str, typer.Option(help="Its name in our catalog.")] = "minilm-l6",
    peer: Annotated[
        list[str] | None, typer.Option(help=f"Only these: {', '.join(each.name for each in PEERS)}.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(help="Text: lines {query, candidates: [{text}]}, .gz or not. Default: made up.")
    ] = None,
    documents: Annotated[int, typer.Option(min=1, help="Of a request.")] = 100,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each measurement.")] = 20.0,
    rounds: Annotated[int, typer.Option(min=1, help="In each, every peer is started again; the order turns.")] = 3,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Requests/s for all. Default: 0.6 of what the slowest can do.")
    ] = None,
    overload_: Annotated[
        bool, typer.Option("--overload", help="Instead: three times the capacity of each, and how it recovers.")
    ] = False,
    mixed_: Annotated[
        bool, typer.Option("--mixed", help="Instead: 10 documents, 5/s, beside two streams of 1,000.")
    ] = False,
    environments: Annotated[Path | None, typer.Option(help="Default: in the user's cache folder.")] = None,
    out: Annotated[Path | None, typer.Option(help="File for the tables, in Markdown; else they are printed.")] = None,
) -> None:
    """Compare rerankers that run on this machine, each alone, one after another, with the same weights and requests.

    Each is installed into an environment of its own when it is first needed, and started anew in each round. Ours is
    started too, from this environment, in its own floats and in int8.
    """
    weights = weights.resolve()
    if not (weights / "config.json").is_file():
        sys.exit(f"error: {weights} is no model's folder: it has no config.json")
    try:
        picked = chosen(peer or [])
    except LookupError as error:
        sys.exit(f"error: {error}")
    console = Console(stderr=True)
    cache = environments or default_cache()
    questions = questions_from(run)
    plan = Plan(write_bodies(sized(questions, documents), model), documents, seconds, rounds, rate)
    with TemporaryDirectory(prefix="peers-") as logs:

        def start(each: Peer) -> AbstractContextManager[Server]:
            return started(each, programs(each, cache, console.print), Weights(weights, model), Path(logs))

        everybody = Field(picked, start, console.print)
        if overload_:
            measured = tables.overload_table(picked, overload(everybody, plan, Generator(run)))
        elif mixed_:
            measured = tables.mixed_table(picked, mixed(everybody, questions, seconds))
        else:
            measured = tables.compared_table(picked, compare(everybody, plan, Generator(run)), plan)
    whole = "\n\n".join((_heading(model, weights, run), measured, tables.settings_table(picked))) + "\n"
    if out is None:
        print(whole)
    else:
        out.write_text(whole, encoding="utf-8")
    if everybody.failed:
        sys.exit(f"error: left out: {', '.join(everybody.failed)}")


def _heading(model: str, weights: Path, run: Path | None) -> str:
    memory = psutil.virtual_memory().total / 2**30
    text = run.name if run else "made-up text"
    return (
        f"{model} from {weights.name}, {text}; {psutil.cpu_count()} CPUs ({platform.machine()}), {memory:.0f} GiB, "
        f"{datetime.now(UTC):%Y-%m-%d}"
    )


if __name__ == "__main__":
    typer.run(peers)
