"""Where a variant's weights come from: the package, a local folder, the hub at its pinned revision, in that order."""

from pathlib import Path

from serve_app.catalog import Variant
from serve_app.errors import WeightsUnavailable
from serve_app.scorer import hub

BUNDLED = Path(__file__).parent.parent / "bundled"
"""Weights that come with the package, a folder a variant."""


def find(variant: Variant, models_dir: Path | None) -> Path:
    """A folder with config, tokenizer and weights of the variant.

    Downloads them when no local folder has them; raises WeightsUnavailable with the hub's reason, WeightsInvalid.
    """
    if folder := at_hand(variant, models_dir):
        return folder
    if variant.bundled:
        raise WeightsUnavailable(f"{variant.name} comes with the package, and this one lacks it: install it again")
    return hub.download(variant)


def at_hand(variant: Variant, models_dir: Path | None) -> Path | None:
    """The same, as far as nothing has to be downloaded."""
    for parent in (BUNDLED, models_dir):
        if parent is not None and (folder := parent / variant.folder).is_dir():
            return folder
    return None if variant.bundled else hub.cached(variant)


def locate(variant: Variant, models_dir: Path | None) -> Path:
    """The same for a service: its WeightsUnavailable names the ways to provide them."""
    try:
        return find(variant, models_dir)
    except WeightsUnavailable as error:
        raise WeightsUnavailable(
            f"no weights of {variant.hub_id} are at hand: {error.message}. Either put them into a folder named "
            f"{variant.folder} under the models directory (`rerank pull {variant.name}` does; --models-dir or "
            f"RERANK_MODELS_DIR), or let the service reach the hub, and ask again."
        ) from error
