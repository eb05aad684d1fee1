"""`rerank verify`: published scores beside ours."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from serve_app.catalog_file import default_catalog_path, load_catalog, shipped_config
from serve_app.errors import RerankError, WeightsInvalid, WeightsUnavailable
from serve_app.packages import require_packages
from serve_app.settings import read_settings

if TYPE_CHECKING:
    from serve_app.scorer.acceptance import Report


def verify(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="Variants, by any of their names. Default: all.")
    ] = None,
    models_dir: Annotated[
        Path | None, typer.Option(help="Weights, DIR/<last part of the hub id>. Default: RERANK_MODELS_DIR, else none.")
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog file. Default: RERANK_CATALOG, else the built-in.")
    ] = None,
) -> None:
    """Score the pairs whose scores have been published, in fp32 on the CPU, and compare.

    Weights of the pinned revision have to score what was published; weights of unknown origin, nearly. Exit code 1
    when they do not, or when a model that was named cannot be had.
    """
    require_packages("torch", "transformers")
    settings = read_settings()
    known = load_catalog(catalog or settings.catalog or default_catalog_path())
    chosen = known.only(models) if models else known
    console = Console()
    # torch takes seconds to import; nobody should wait for it to be told that an option is wrong.
    from serve_app.scorer import acceptance
    from serve_app.scorer.weights import find

    sets = acceptance.read_published(shipped_config("published.yaml"))
    reports: list[Report] = []
    absent: dict[str, RerankError] = {}
    for variant in chosen.variants.values():
        try:
            folder = find(variant, models_dir or settings.models_dir)
            with Console(stderr=True).status(f"scoring {variant.name}"):
                reports.append(acceptance.verify(variant, folder, sets))
        except (WeightsUnavailable, WeightsInvalid) as error:
            absent[variant.name] = error
    if reports:
        console.print(_table(reports))
    _conclude(reports, absent, console, named=bool(models))


def _table(reports: Iterable["Report"]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("model", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    table.add_column("pair", no_wrap=True)
    for heading in ("published", "ours", "difference"):
        table.add_column(heading, justify="right")
    table.add_column("verdict", no_wrap=True)
    for report in reports:
        model = (report.variant.name, "pinned" if report.pinned else "unpinned")
        for each in report.comparisons:
            published = "order only" if each.published is None else f"{each.published:.5f}"
            difference = "" if each.difference is None else f"{each.difference:+.5f}"
            verdict = f"[red]{each.verdict}[/red]" if each.verdict == "WRONG" else str(each.verdict)
            table.add_row(*model, each.pair, published, f"{each.ours:.5f}", difference, verdict)
            model = ("", "")
        if not report.comparisons:
            table.add_row(*model, "no score of it is published", "", "", "", "")
    return table


def _conclude(reports: Sequence["Report"], absent: Mapping[str, RerankError], console: Console, named: bool) -> None:
    """Say what could not be checked; raise what has to end the command with exit code 1."""
    for name, error in absent.items():
        console.print(f"[red]✗[/red] {name}: {escape(error.message)}", highlight=False, soft_wrap=True)
    if unpinned := [report for report in reports if not report.pinned]:
        console.print(
            "[dim]unpinned: no manifest says that these are the files of the pinned revision (`rerank pull` writes "
            f"one), so within {unpinned[0].bound:g} in the logit is close enough[/dim]"
        )
    invalid = [name for name, error in absent.items() if isinstance(error, WeightsInvalid)]
    if wrong := [report.variant.name for report in reports if not report.passed] + invalid:
        raise WeightsInvalid(f"not what was published: {', '.join(wrong)}")
    if absent and (named or not reports):
        raise WeightsUnavailable(
            f"not checked: {', '.join(absent)}. `rerank pull --to DIR` brings weights, --models-dir DIR finds them"
        )
