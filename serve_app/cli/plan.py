"""`rerank plan`: how many replicas and V100s some traffic takes, and what else of such a fleet breaks first."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from serve_app.autoscaling import Aim
from serve_app.catalog import Catalog, Variant
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.cluster.capacity import Plan, Wish, late_share, percentile, plan_fleet, replay, v100s_of
from serve_app.cluster.limits import Size, parts
from serve_app.cluster.simulation import Run
from serve_app.cluster.traffic import read_trace
from serve_app.errors import ConfigurationError
from serve_app.settings import read_settings

HOUR_S = 3_600


def plan(
    model: Annotated[str, typer.Option(help="A variant, by any of its names.")],
    p99: Annotated[str, typer.Option(help="Within this 99 of 100 requests are to be answered: 150ms, 0.5s.")],
    rps: Annotated[float | None, typer.Option(min=0.001, help="Requests a second, each at its own moment.")] = None,
    docs: Annotated[int, typer.Option(min=1, max=10_000, help="Documents of each request.")] = 100,
    trace: Annotated[
        Path | None,
        typer.Option(help="Instead of --rps and --docs, requests as they came: CSV, at_s (seconds) and documents."),
    ] = None,
    v100s_per_node: Annotated[int, typer.Option(min=1, help="What one of your nodes has.")] = 1,
    v100_hour: Annotated[
        float, typer.Option(min=0, help="US dollars for a V100 and hour; the default is a list price of Google Cloud.")
    ] = 2.48,
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog file. Default: RERANK_CATALOG, else the built-in.")
    ] = None,
) -> None:
    """Plan a fleet: replicas, V100s, cost, headroom, and what breaks first.

    Steady traffic (--rps) is given the fewest replicas that simulated requests are answered by in time, on the share
    of a V100 that the catalog gives a replica, and on a whole one. Traffic as it came (--trace) is replayed over
    replicas that the autoscaler's arithmetic starts and stops.

    A replica is as fast as its share of the published speed: as if its neighbours on the V100 were always busy.
    """
    known = load_catalog(catalog or read_settings().catalog or default_catalog_path())
    variant, within_s, console = _variant(known, model), _seconds(p99), Console()
    shares = sorted({variant.serving.gpu_share, 1.0})
    if (rps is None) == (trace is None):
        raise ConfigurationError("say either --rps, for steady traffic, or --trace FILE, for traffic as it came")
    if trace is not None:
        requests = read_trace(trace)
        runs = {share: replay(variant, requests, share, Aim(within_s)) for share in shares}
        console.print(_replays(runs, within_s, v100_hour))
    elif rps is not None:
        plans = [plan_fleet(variant, Wish(rps, docs, within_s), share) for share in shares]
        console.print(_plans(plans, rps * docs, v100_hour))
        _tell_why_not(console, plans, within_s)
        if fits := [each for each in plans if each.replicas]:
            best = min(fits, key=lambda each: each.v100s)
            console.print(_parts(Size(rps, best.replicas or 0, best.v100s, v100s_per_node)))


def _variant(known: Catalog, model: str) -> Variant:
    found = known.find(model)
    if found is None:
        raise ConfigurationError(f"the catalog has no variant {model!r}; it has {', '.join(known.variants)}")
    if not isinstance(found, Variant):
        raise ConfigurationError(f"{model} is a cascade ({found}): plan each of its variants")
    return found


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)(ms|s)", text.strip())
    if match is None or not float(match[1]):
        raise ConfigurationError(f"--p99 {text!r} cannot be read: say 150ms or 0.15s")
    return float(match[1]) / (1_000 if match[2] == "ms" else 1)


def _plans(plans: Sequence[Plan], docs_per_s: float, v100_hour: float) -> Table:
    table = _table("of a V100", "replicas", "V100s", "busy", "p50 ms", "p99 ms", "headroom", "$/hour", "$/1M docs")
    for each in plans:
        share = f"{each.share:g}"
        if each.replicas is None:
            table.add_row(share, *("–" for _ in range(8)))
            continue
        cost = each.v100s * v100_hour
        per_million = 1e6 * cost / (docs_per_s * HOUR_S)
        times = (f"{each.busy:.0%}", f"{1_000 * each.p50_s:,.0f}", f"{1_000 * each.p99_s:,.0f}")
        more = f"{'≥ ' if each.more_is_least else ''}{each.more_traffic - 1:.0%}"
        money = (f"{cost:,.2f}", f"{per_million:,.2f}")
        table.add_row(share, f"{each.replicas:,}", f"{each.v100s:,}", *times, more, *money)
    return table


def _tell_why_not(console: Console, plans: Sequence[Plan], within_s: float) -> None:
    for each in plans:
        if each.replicas is None:
            alone = f"{1_000 * each.alone_s:,.0f} ms"
            why = (
                f"one request alone takes {alone}: allow more, ask for fewer documents, or choose a faster variant"
                if each.alone_s > within_s
                else f"one request alone takes {alone}, which leaves too little to wait: allow more"
            )
            console.print(f"– on {each.share:g} of a V100 no number of replicas is enough: {why}", soft_wrap=True)


def _replays(runs: dict[float, Run], within_s: float, v100_hour: float) -> Table:
    table = _table("of a V100", "replicas, mean", "most", "V100-hours", "$", "p50 ms", "p99 ms", "late")
    for share, run in runs.items():
        lasts_s = max(run.lasts_s, 1e-9)
        hours = run.replica_s * share / HOUR_S
        times = (f"{1_000 * percentile(run.took_s, part):,.0f}" for part in (0.5, 0.99))
        sizes = (f"{run.replica_s / lasts_s:,.1f}", f"{run.most:,} ({v100s_of(run.most, share):,} V100s)")
        money = (f"{hours:,.1f}", f"{hours * v100_hour:,.2f}")
        table.add_row(f"{share:g}", *sizes, *money, *times, f"{late_share(run, within_s):.1%}")
    return table


def _parts(size: Size) -> Table:
    table = _table("of its limit", "what", "needed", "known to hold", "then", "by")
    for part in parts(size):
        used = f"{part.used:.0%}" if part.known_to_hold else "more of it"
        held = f"{part.known_to_hold:,.0f}" if part.known_to_hold else "–"
        style = "red" if part.used > 1 else None
        table.add_row(used, part.name, f"{part.needed:,.0f} {part.unit}", held, part.way_out, part.source, style=style)
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column(first, no_wrap=True)
    for heading in others:
        words = heading in {"what", "then", "by"}
        table.add_column(heading, justify="left" if words else "right", overflow="fold")
    return table
