"""Pickled weights in, safetensors out, once: what the hub's conversion service would do, done here.

transformers asks that service by itself, from a background thread, whenever it loads a repository without safetensors.
"""

from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import save_file

from serve_app.catalog import Variant
from serve_app.scorer.checkpoint import read_state
from serve_app.scorer.heads import ARCHITECTURES

PICKLED = "pytorch_model.bin"
CONVERTED = "model.safetensors"


class Conversion(BaseModel):
    """What was done."""

    model_config = ConfigDict(frozen=True)

    source: str
    """The file that the hub has."""
    sha256: str
    """Its checksum."""
    dropped: tuple[str, ...]
    """Keys that the architecture knows as harmless, left out."""


def convert(variant: Variant, folder: Path, sha256: str) -> Conversion:
    """Replace the folder's pickled weights, of that checksum, by safetensors with the same keys and dtypes.

    Raises WeightsInvalid when they cannot be read, OSError or SafetensorError when the new file cannot be written.
    """
    state = read_state(folder)
    harmless = ARCHITECTURES[variant.architecture].harmless
    dropped = tuple(sorted(key for key in state if key.startswith(harmless)))
    # Copies, because safetensors refuses tensors that share memory.
    kept = {
        key: tensor.clone(memory_format=torch.contiguous_format) for key, tensor in state.items() if key not in dropped
    }
    save_file(kept, folder / CONVERTED, metadata={"format": "pt"})
    (folder / PICKLED).unlink()
    return Conversion(source=PICKLED, sha256=sha256, dropped=dropped)
