"""A variant in, its tokenizer and engine out, tried on a warm-up batch: all that needs torch is behind this door."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from serve_app.catalog import Variant
from serve_app.scorer.engine import TorchEngine
from serve_app.scorer.packing import PathName, Row
from serve_app.scorer.tokenizer import PairTokenizer
from serve_app.scorer.weights import locate
from serve_app.scoring import Device

ONEDNN_PRODUCTS = 8_192
"""Sizes of products whose machine code oneDNN keeps; of its own 1,024 a busy replica forgets what it needs next."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """What it takes to score text."""

    tokenizer: PairTokenizer
    engine: TorchEngine


def load(variant: Variant, models_dir: Path | None, device: Device, threads: int) -> LoadedModel:
    """Find, load and check the variant; raises WeightsUnavailable, WeightsInvalid.

    `threads` is how many of the CPU its forward passes share: Ray would leave it at one for a replica that
    reserves no CPU. On a GPU the process takes no more memory than its share of it.
    """
    torch.set_num_threads(threads)
    os.environ["RAYON_NUM_THREADS"] = str(threads)  # the tokenizer's, which reads it once and takes all cores otherwise
    if device == "cuda":
        torch.cuda.set_per_process_memory_fraction(variant.serving.gpu_share)
    return load_folder(variant, locate(variant, models_dir), device)


def load_folder(variant: Variant, folder: Path, device: Device, path: PathName | None = None) -> LoadedModel:
    """Load and check what the folder holds; raises WeightsInvalid. `path` instead of the device's fastest."""
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(ONEDNN_PRODUCTS))  # which it reads once
    tokenizer = PairTokenizer.from_folder(folder)
    engine = TorchEngine.load(variant, folder, device, tokenizer.pad_id, path)
    *shorter, usual, longest = _warm_up_rows(tokenizer)
    engine.tune(usual)
    engine.check([*shorter, usual, longest])
    return LoadedModel(tokenizer, engine)


def _warm_up_rows(tokenizer: PairTokenizer) -> Sequence[Row]:
    """Pairs of very different lengths, up to the longest, so that a batch of them is mostly padding."""
    sentence = "A river carries water from the mountains to the sea. "
    return tokenizer.rows_now("where does a river end", ["", "In the sea.", sentence, sentence * 8, sentence * 60])
