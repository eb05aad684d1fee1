"""A variant in, a folder that an air-gapped cluster can mount out: fetched, verified, converted, tried, then named.

Work is done beside the folder, under a name that no reader looks for. The folder gets its name last, so that it is
either whole or not there; what has come before a failure waits for the next try.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError

from serve_app.catalog import Variant
from serve_app.errors import ConfigurationError
from serve_app.scorer.checkpoint import load_cross_encoder
from serve_app.scorer.conversion import PICKLED, Conversion, convert
from serve_app.scorer.hub import Published, fetch, published
from serve_app.scorer.manifest import FileRecord, Manifest, read_manifest
from serve_app.scorer.tokenizer import PairTokenizer


@dataclass(frozen=True, slots=True)
class Pulled:
    """A folder that is whole."""

    folder: Path
    manifest: Manifest
    downloaded: bool
    """False when it was whole before."""


def pull(variant: Variant, parent: Path) -> Pulled:
    """Have the variant's folder under `parent`, downloading what is not there.

    Raises WeightsUnavailable, WeightsInvalid, and ConfigurationError when `parent` cannot take it.
    """
    folder = parent / variant.folder
    manifest = read_manifest(folder)
    if manifest is not None and manifest.describes(variant, folder):
        return Pulled(folder, manifest, downloaded=False)
    if manifest is None and folder.exists():
        raise ConfigurationError(f"{folder} was not made by `rerank pull` (no manifest.json): move it away first")
    there = published(variant)
    try:
        staging = parent / f".{variant.folder}.{variant.revision[:7]}.partial"
        staging.mkdir(parents=True, exist_ok=True)
        _require_room(variant, there, staging)
        made = _assemble(variant, there, staging)
        _name(staging, folder)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{variant.name} cannot be written to {parent}: {reason}") from error
    return Pulled(folder, made, downloaded=True)


def _assemble(variant: Variant, there: Published, staging: Path) -> Manifest:
    for file in there.files:
        fetch(variant, there.commit, file, staging)
    converted = _convert(variant, staging)
    load_cross_encoder(variant, staging)
    PairTokenizer.from_folder(staging)
    names = {file.name for file in there.files} - {PICKLED} | {"model.safetensors"}
    manifest = Manifest.of(variant, there.commit, [staging / name for name in names], converted)
    manifest.write(staging)
    return manifest


def _convert(variant: Variant, staging: Path) -> Conversion | None:
    if variant.weights_file != PICKLED:
        return None
    return convert(variant, staging, FileRecord.of(staging / PICKLED).sha256)


def _require_room(variant: Variant, there: Published, staging: Path) -> None:
    have = {path.name: path.stat().st_size for path in staging.iterdir()}
    needed = sum(file.size - have.get(file.name, 0) for file in there.files)
    needed += sum(file.size for file in there.files if file.name == PICKLED)  # beside its conversion
    if needed > (free := shutil.disk_usage(staging).free):
        raise ConfigurationError(
            f"{variant.name} needs {needed / 1e6:,.1f} MB more in {staging.parent}, which has {free / 1e6:,.1f} MB free"
        )


def _name(staging: Path, folder: Path) -> None:
    """Put the folder in its place; one that was damaged or of another revision goes."""
    if folder.exists():
        shutil.rmtree(folder)
    staging.rename(folder)
