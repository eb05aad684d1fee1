"""`rerank models`: the catalog as a table."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from serve_app.catalog import Catalog, Variant
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.settings import read_settings

WIDE = 140
"""Columns of a terminal in which the hub ids have room."""


def models(
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog file. Default: RERANK_CATALOG, else the built-in.")
    ] = None,
) -> None:
    """Show the variants: names, tiers, published accuracy and speed, price. ★ is the Pareto front."""
    known = load_catalog(catalog or read_settings().catalog or default_catalog_path())
    console = Console()
    with_ids = console.width >= WIDE
    console.print(_table(known, with_ids))
    console.print("★ no other is at once as accurate and as fast  ● answers when no model is named")
    console.print("[dim]NDCG@10: TREC DL 2019. MRR@10: MS MARCO dev. docs/s: one V100. As published.[/dim]")
    for variant in (each for each in known.variants.values() if each.bundled):
        console.print(f"[dim]{variant.name} comes with the package; its NDCG@10 is our own measurement.[/dim]")
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
    return table


def _cells(catalog: Catalog, variant: Variant) -> tuple[str, ...]:
    figures = variant.figures
    return (
        ("★" if variant.name in catalog.pareto_front else " ") + ("●" if variant.name == catalog.default else " "),
        variant.name,
        str(variant.tier),
        f"{figures.ndcg10:.2f}",
        "–" if figures.mrr10 is None else f"{figures.mrr10:.2f}",
        f"{figures.docs_per_second_v100:,.0f}",
        f"{variant.price_per_1k_docs:.4f}",
        f"{variant.parameters / 1e6:.1f}M",
    )
