"""Runs a scenario against a service: `python -m loadtest run --help`. Leaves a file with a sample a request."""

import asyncio
import random
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.live import Live

from loadtest.dialects import DIALECTS
from loadtest.generator import BUSY, LATE_MS, crew, judged, share_out
from loadtest.phases import percentile
from loadtest.plan import STAMPS, Plan, make_plan
from loadtest.progress import Progress
from loadtest.questions import questions_from
from loadtest.samples import Generator, Run, write_run
from loadtest.scenario import Scenario, load_scenario
from loadtest.target import Address, connect
from loadtest.watching import watching


def run(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A .yaml file, or the name of one that is here.")],
    url: Annotated[str, typer.Option(help="The service; the dialect's path is added.")] = "http://127.0.0.1:8000",
    model: Annotated[str | None, typer.Option(help="That is asked for.")] = None,
    dialect: Annotated[str, typer.Option(help=f"One of {', '.join(DIALECTS)}.")] = "native",
    key: Annotated[str | None, typer.Option(envvar="RERANK_API_KEY", help="API key of the service.")] = None,
    name: Annotated[str | None, typer.Option(help="Of what is measured, for tables. Default: model and host.")] = None,
    text: Annotated[
        Path | None,
        typer.Option("--run", help="Text: lines {query, candidates: [{text}]}, .gz or not. Default: made up."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.001, help="Requests/s; of other arrivals than steady ones, times the rates.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0.1, help="That requests are due in; steps stretch.")] = None,
    out: Annotated[Path | None, typer.Option(help="Default: SCENARIO-NAME.run.json.gz.")] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="That send.")] = None,
) -> None:
    """Load a service as a scenario says, and keep a sample of each request.

    Requests go when they are due, whatever the service does; latencies count from then. Ends with 1 when the generator
    was late itself: what it measured is its own then. More --processes, on more cores, are the way out.
    """
    if dialect not in DIALECTS:
        sys.exit(f"error: there is no dialect {dialect}; there are {', '.join(DIALECTS)}")
    named = name or (f"{model} at {urlsplit(url).netloc}" if model else urlsplit(url).netloc)
    try:
        told = load_scenario(scenario).changed(rate, seconds, processes)
        address = Address(url.rstrip("/"), dialect, key, told.timeout_s)
        plan = planned(told, address, model, text)
    except ValueError as error:
        sys.exit(f"error: {error}")
    asyncio.run(warm_up(address, plan, told.warm_up))
    done = load(named, told, address, plan)
    file = out or Path(f"{told.name}-{_file_name(named)}.run.json.gz")
    write_run(done, file)
    Console().print(f"{summary(done)} → {file}", highlight=False, soft_wrap=True)
    if done.generator.late:
        sys.exit(f"error: {lateness(done.generator)}")


def planned(scenario: Scenario, address: Address, model: str | None, text: Path | None) -> Plan:
    """With stamps that no run before had, as far as chance goes."""
    questions = questions_from(text, scenario.workload.words)
    return make_plan(scenario, questions, lambda each: address.spoken.write(each, model), random.randrange(STAMPS))


async def warm_up(address: Address, plan: Plan, requests: int) -> None:
    """With the bodies of the plan and stamps of their own; ends the program if a request fails."""
    bodies = [plan.bodies[ask.body] for ask in plan.asks[:requests]]
    async with connect(address) as target:
        await target.warm_up((body, random.randrange(STAMPS)) for body in bodies)


def load(name: str, scenario: Scenario, address: Address, plan: Plan) -> Run:
    """Run it; what is seen meanwhile is shown on the terminal."""
    progress = Progress([ask.due for ask in plan.asks])
    with crew(share_out(address, plan, scenario.processes)) as working:
        began, began_at = working.begin(), datetime.now(UTC)
        with watching(address.url, address.key, began) as watch, Live(console=Console(stderr=True)) as live:
            for came in working.told():
                now = time.perf_counter() - began
                progress.add(came, now)
                live.update(progress.shown(now))
    samples = sorted(progress.samples, key=lambda sample: sample.due)
    return Run(
        name=name,
        scenario=scenario.described(),
        url=address.url,
        began_at=began_at.isoformat(timespec="seconds"),
        seconds=plan.seconds,
        generator=judged(samples, progress.cpu_shares),
        samples=samples,
        replicas=watch.replicas,
    )


def summary(run: Run) -> str:
    """One line."""
    good = [sample.latency_ms for sample in run.samples if sample.failure is None]
    p50, p99 = (percentile(good, percent) for percent in (50, 99))
    times = "nothing was ranked" if p50 is None else f"p50 {p50:,.0f} ms, p99 {p99:,.0f} ms"
    failed = len(run.samples) - len(good)
    return f"{run.name}: {len(run.samples):,} requests in {run.seconds:g} s, {failed:,} failed, {times}"


def lateness(generator: Generator) -> str:
    """What is wrong with it, and the way out."""
    late, share = f"{generator.late_p99_ms:.1f} ms", f"{generator.cpu_share:.0%}"
    return (
        f"the load generator was late: p99 {late} after a request was due (at most {LATE_MS:g}), {share} of a core in "
        f"its busiest process (at most {BUSY:.0%}). What it measured is not the service's alone: give it more "
        "--processes, or a machine of its own"
    )


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-._" else "-" for letter in name)
