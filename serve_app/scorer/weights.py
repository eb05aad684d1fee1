"""Where a variant's weights come from: the package, a local folder, the hub at its pinned revision, in that order."""

import logging
from pathlib import Path

from huggingface_hub import HfApi, snapshot_download
from huggingface_hub.errors import (
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from serve_app.catalog import Variant
from serve_app.errors import WeightsUnavailable

BUNDLED = Path(__file__).parent.parent / "bundled"
"""Weights that come with the package, a folder a variant."""
_TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")
_HUB_TIMEOUT_S = 5.0
_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log


def locate(variant: Variant, models_dir: Path | None) -> Path:
    """A folder with config, tokenizer and weights of the variant.

    Downloads them when no local folder has them; raises WeightsUnavailable that names the two ways to provide them.
    """
    for parent in (BUNDLED, models_dir):
        if parent is not None and (folder := parent / variant.folder).is_dir():
            return folder
    return _cached(variant) or _download(variant)


def _cached(variant: Variant) -> Path | None:
    try:
        folder = Path(snapshot_download(variant.hub_id, revision=variant.revision, local_files_only=True))
    except LocalEntryNotFoundError:
        return None
    # The folder is there as soon as the first file is: a download that was broken off has no weights yet.
    return folder if (folder / variant.weights_file).is_file() else None


def _download(variant: Variant) -> Path:
    wanted = ["config.json", variant.weights_file, *_TOKENIZER_FILES]
    try:
        # Asked first, because it fails at once: without a network the download itself tries for 23 s
        # (huggingface_hub 2.4.0), and a request is waiting.
        HfApi().model_info(variant.hub_id, revision=variant.revision, timeout=_HUB_TIMEOUT_S)
        return Path(snapshot_download(variant.hub_id, revision=variant.revision, allow_patterns=wanted))
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise _unavailable(variant, f"the hub does not have it at revision {variant.revision}") from error
    except Exception as error:  # the hub's client has changed its HTTP library, and so its errors, twice
        _log.warning("download of %s failed: %s: %s", variant.hub_id, type(error).__name__, error)
        raise _unavailable(variant, "the hub cannot be reached") from error


def _unavailable(variant: Variant, reason: str) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"no weights of {variant.hub_id} are at hand: {reason}. Either put them into a folder named {variant.folder} "
        f"under the models directory (--models-dir or RERANK_MODELS_DIR), or let the service reach the hub, "
        f"and ask again."
    )
