"""A folder of weights in, the model out: every key accounted for, or nothing is served.

transformers' `from_pretrained` fills a missing head with random numbers and only warns; here it is an error.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedConfig
from transformers.initialization import no_init_weights

from serve_app.catalog import Variant
from serve_app.errors import WeightsInvalid
from serve_app.scorer.heads import ARCHITECTURES, CrossEncoder, Entry

_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}
"""How checkpoints of 2020 and before call them."""
_SHOWN = 3
"""Keys that an error names."""


def load_cross_encoder(variant: Variant, folder: Path) -> CrossEncoder:
    """The variant's model in fp32 on the CPU, ready to score; raises WeightsInvalid that says what is wrong."""
    entry = ARCHITECTURES[variant.architecture]
    model = _built(entry, folder, variant.labels)
    state = _renamed(entry, read_state(folder))
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        raise WeightsInvalid(f"the weights of {folder.name} have other shapes than its config.json says") from error
    if missing or unexpected:
        raise WeightsInvalid(
            f"the weights of {folder.name} are not those of {variant.hub_id} ({variant.architecture}, "
            f"{variant.labels} label(s)): missing {_some(missing)}; unexpected {_some(unexpected)}"
        )
    return model.eval()


def _built(entry: Entry, folder: Path, labels: int) -> CrossEncoder:
    config = _read_config(entry, folder)
    try:
        with no_init_weights():
            return CrossEncoder(entry.body(config), entry.head(config.hidden_size, labels), entry.reads_segments)
    except ValueError as error:
        raise WeightsInvalid(f"config.json of {folder.name} describes no model that can be built") from error


def _read_config(entry: Entry, folder: Path) -> PreTrainedConfig:
    try:
        values: dict[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        # A BERT_Cat config.json names a type of its own and has no sizes: its body is the default DistilBERT.
        values = {key: value for key, value in values.items() if key not in ("model_type", "architectures")}
        return entry.config(**values)
    except (OSError, ValueError, TypeError) as error:
        raise WeightsInvalid(f"config.json of {folder.name} cannot be read: download the folder again") from error


def read_state(folder: Path) -> dict[str, Tensor]:
    """The folder's tensors by their names in the file, safetensors first; raises WeightsInvalid."""
    try:
        if (file := folder / "model.safetensors").is_file():
            return load_file(file)
        state: dict[str, Tensor] = torch.load(folder / "pytorch_model.bin", map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsInvalid(f"{folder.name} has neither model.safetensors nor pytorch_model.bin") from error
    except (SafetensorError, UnpicklingError, RuntimeError, OSError, ValueError, EOFError) as error:
        raise WeightsInvalid(f"the weights of {folder.name} are damaged: download them again") from error
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise WeightsInvalid(f"the weights of {folder.name} are not a state dict: they hold more than tensors")
    return state


def _renamed(entry: Entry, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    kept = {key: tensor for key, tensor in state.items() if not key.startswith(entry.harmless)}
    return {_our_name(entry, key): tensor for key, tensor in kept.items()}


def _our_name(entry: Entry, key: str) -> str:
    for old, new in _OLD_NAMES.items():
        key = key.replace(old, new)
    for theirs, ours in entry.keys.items():
        if key.startswith(theirs):
            return ours + key[len(theirs) :]
    return key


def _some(keys: list[str]) -> str:
    more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
    return ", ".join(sorted(keys)[:_SHOWN]) + more if keys else "nothing"
