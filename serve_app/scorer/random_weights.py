"""A folder of random weights in the exact shape of a variant: as fast as the real ones, for measuring without them."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from serve_app.catalog import Architecture, Variant
from serve_app.scorer.heads import ARCHITECTURES, CrossEncoder

_CLASSES = {
    Architecture.BERT: "BertForSequenceClassification",
    Architecture.ELECTRA: "ElectraForSequenceClassification",
    Architecture.ELECTRA_LINEAR: "ElectraForSequenceClassification",
    Architecture.DISTILBERT_CAT: "DistilBertForSequenceClassification",
}
"""The nearest of transformers', so that it can load the folder too: heads differ in the last two, speed does not."""


def write_random(variant: Variant, vocabulary: Path, folder: Path) -> None:
    """Write config, weights and tokenizer of the variant's shape, with that `vocab.txt`."""
    torch.manual_seed(0)
    entry, shape = ARCHITECTURES[variant.architecture], variant.shape
    sizes: dict[str, Any] = {
        "num_hidden_layers": shape.layers,
        "hidden_size": shape.hidden,
        "num_attention_heads": shape.heads,
        "num_labels": variant.labels,
        entry.feed_forward_key: shape.feed_forward,
    }
    config = entry.config(**sizes)
    model = CrossEncoder(entry.body(config), entry.head(shape.hidden, variant.labels), entry.reads_segments)
    folder.mkdir(parents=True)
    state = {entry.hub_name(key): tensor for key, tensor in model.state_dict().items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    values = config.to_dict() | {"architectures": [_CLASSES[variant.architecture]]}
    (folder / "config.json").write_text(json.dumps(values), encoding="utf-8")
    tokenizer = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 512}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    shutil.copyfile(vocabulary, folder / "vocab.txt")
