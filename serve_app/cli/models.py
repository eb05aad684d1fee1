"""`rerank models`: the catalog as a table."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from serve_app.catalog import Catalog, Served, Variant
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.settings import read_settings

WIDE = 140
"""Columns of a terminal in which the hub ids have room."""


def models(
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog file. Default: RERANK_CATALOG, else the built-in.")
    ] = None,
) -> None:
    """Show variants and cascades: names, tiers, published accuracy and speed, price. ★ is the Pareto front."""
    known = load_catalog(catalog or read_settings().catalog or default_catalog_path())
    console = Console()
    with_ids = console.width >= WIDE
    console.print(_table(known, with_ids))
    console.print("★ no other is at once as accurate and as fast  ● answers when no model is named")
    console.print("[dim]NDCG@10: TREC DL 2019. MRR@10: MS MARCO dev. docs/s: one V100. As published.[/dim]")
    for variant in (each for each in known.variants.values() if each.bundled):
        console.print(f"[dim]{variant.name} comes with the package; its NDCG@10 is our own measurement.[/dim]")
    for cascade in known.cascades.values():
        console.print(f"[dim]{cascade.name} is a cascade: {cascade}; its price is the most that it can be.[/dim]")
    if not with_ids:
        console.print("[dim]A terminal of 140 columns shows the hub ids, which are names as well.[/dim]")


def _table(catalog: Catalog, with_ids: bool) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    table.add_column("name", no_wrap=True)
    table.add_column("tier", no_wrap=True)
    for heading in ("NDCG@10", "MRR@10", "docs/s", "$/1k docs", "params"):
        table.add_column(heading, justify="right")
    if with_ids:
        table.add_column("hub id", no_wrap=True)
    for variant in sorted(catalog.variants.values(), key=lambda v: -v.figures.ndcg10):
        table.add_row(*_cells(catalog, variant), *([variant.hub_id] if with_ids else []))
    for cascade in catalog.cascades.values():
        table.add_row(*_cells(catalog, cascade))
    return table


def _cells(catalog: Catalog, served: Served) -> tuple[str, ...]:
    alone = isinstance(served, Variant)
    return (
        ("★" if served.name in catalog.pareto_front else " ") + ("●" if served.name == catalog.default else " "),
        served.name,
        str(catalog.tier_of(served)),
        *(_figures(served) if isinstance(served, Variant) else ("–", "–", "–")),
        f"{'' if alone else '≤ '}{catalog.price_of(served):.4f}",
        f"{sum(variant.parameters for variant in catalog.variants_of(served)) / 1e6:.1f}M",
    )


def _figures(variant: Variant) -> tuple[str, str, str]:
    figures = variant.figures
    mrr10 = "–" if figures.mrr10 is None else f"{figures.mrr10:.2f}"
    return f"{figures.ndcg10:.2f}", mrr10, f"{figures.docs_per_second_v100:,.0f}"
