"""`rerank pull`: weights from the hub into a folder that a cluster without a network can mount."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from serve_app.catalog import Variant
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.errors import ConfigurationError, WeightsInvalid, WeightsUnavailable
from serve_app.packages import require_packages
from serve_app.settings import read_settings


def pull(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="[MODEL]...", help="Variants or cascades, by any of their names.")
    ] = None,
    to: Annotated[Path | None, typer.Option(metavar="DIR", help="Where they go. Default: RERANK_MODELS_DIR.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Every variant of the catalog that does not come with the package.")
    ] = False,
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog file. Default: RERANK_CATALOG, else the built-in.")
    ] = None,
) -> None:
    """Download weights at their pinned revisions: checksums verified, pickles converted to safetensors.

    A download that was broken off goes on where it stopped; what is whole is not downloaded again.
    """
    require_packages("torch", "transformers", "huggingface_hub")
    settings = read_settings()
    parent = to or settings.models_dir
    if parent is None:
        raise ConfigurationError("where to? name a folder with --to DIR or RERANK_MODELS_DIR")
    if bool(models) == everything:
        raise ConfigurationError("which? name models (`rerank models` lists them), or pull all of them with --all")
    known = load_catalog(catalog or settings.catalog or default_catalog_path())
    chosen = known.only(models) if models else known
    wanted = [variant for variant in chosen.variants.values() if not variant.bundled]
    if not wanted:
        raise ConfigurationError(f"{', '.join(chosen.variants)} comes with the package: there is nothing to pull")
    _pull_each(wanted, parent, Console())


def _pull_each(variants: Sequence[Variant], parent: Path, console: Console) -> None:
    # torch takes seconds to import; nobody should wait for it to be told that an option is wrong.
    from serve_app.scorer.pull import pull as pull_one

    failed: list[str] = []
    for variant in variants:
        began = time.monotonic()
        try:
            pulled = pull_one(variant, parent)
        except (WeightsUnavailable, WeightsInvalid) as error:  # the next one may be there
            console.print(f"[red]✗[/red] {variant.name}: {escape(error.message)}", highlight=False, soft_wrap=True)
            failed.append(variant.name)
            continue
        told = f"{pulled.manifest.size / 1e6:,.1f} MB"
        told += f" in {time.monotonic() - began:.0f} s" if pulled.downloaded else ", there already"
        told += "" if pulled.manifest.converted is None else ", converted to safetensors"
        line = f"[green]✓[/green] {variant.name}: {told}; licence {variant.licence}; {escape(str(pulled.folder))}"
        console.print(line, highlight=False, soft_wrap=True)
    if failed:
        raise WeightsUnavailable(f"not pulled: {', '.join(failed)}. What has come is kept; the same command goes on")
    console.print(f"[dim]serve them: rerank serve --models-dir {escape(str(parent))}[/dim]", soft_wrap=True)
