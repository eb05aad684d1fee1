"""`rerank models`: the catalog as a table."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from serve_app.catalog import Catalog, Variant
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.settings import read_settings


def models(
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog file. Default: RERANK_CATALOG, else the built-in.")
    ] = None,
) -> None:
    """Show the variants: names, tiers, published accuracy and speed, price. ★ is the Pareto front."""
    known = load_catalog(catalog or read_settings().catalog or default_catalog_path())
    console = Console()
    console.print(_table(known))
    console.print("★ no other is at once as accurate and as fast   ● answers requests that name no model")
    console.print("[dim]NDCG@10 on TREC DL 2019, MRR@10 on MS MARCO dev, docs/s on one V100: as published[/dim]")


def _table(catalog: Catalog) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("")
    table.add_column("name", no_wrap=True)
    table.add_column("tier")
    for heading in ("NDCG@10", "MRR@10", "docs/s", "$/1k docs", "params"):
        table.add_column(heading, justify="right")
    table.add_column("hub id", overflow="fold")
    for variant in sorted(catalog.variants.values(), key=lambda v: -v.figures.ndcg10):
        table.add_row(*_row(catalog, variant))
    return table


def _row(catalog: Catalog, variant: Variant) -> tuple[str, ...]:
    figures = variant.figures
    return (
        ("★" if variant.name in catalog.pareto_front else " ") + ("●" if variant.name == catalog.default else " "),
        variant.name,
        str(variant.tier),
        f"{figures.ndcg10:.2f}",
        f"{figures.mrr10:.2f}",
        f"{figures.docs_per_second_v100:,.0f}",
        f"{variant.price_per_1k_docs:.4f}",
        f"{variant.parameters / 1e6:.1f}M",
        variant.hub_id,
    )
