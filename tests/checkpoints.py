"""Small random checkpoints in the layouts that the hub has."""

import string
from pathlib import Path
from typing import Any

import torch
from transformers import BertConfig, BertForSequenceClassification, ElectraConfig, ElectraForSequenceClassification

WORDS = ["the", "of", "and", "river", "sea", "mountain", "bread", "music", "berlin", "people", "in", "a", "is", "house"]
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *string.ascii_lowercase,
    *(f"##{letter}" for letter in string.ascii_lowercase),
    *string.digits,
    *string.punctuation,
    *[word for word in WORDS if len(word) > 1],
]
SIZES: dict[str, Any] = {
    "vocab_size": len(VOCABULARY),
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "initializer_range": 0.5,  # ten times the usual: scores of different texts have to differ
}


def write_checkpoint(folder: Path, seed: int, labels: int = 1) -> BertForSequenceClassification:
    """A BERT cross-encoder with a vocab.txt; returns the stock model, to compare with."""
    torch.manual_seed(seed)
    model = BertForSequenceClassification(BertConfig(**{**SIZES, "num_labels": labels}))
    model.eval()
    model.save_pretrained(folder)
    write_vocabulary(folder)
    return model


def write_electra(folder: Path, seed: int, labels: int = 1) -> ElectraForSequenceClassification:
    """An ELECTRA cross-encoder, likewise."""
    torch.manual_seed(seed)
    sizes = {**SIZES, "embedding_size": SIZES["hidden_size"], "num_labels": labels}
    model = ElectraForSequenceClassification(ElectraConfig(**sizes))
    model.eval()
    model.save_pretrained(folder)
    write_vocabulary(folder)
    return model


def write_vocabulary(folder: Path, newline: str = "\n") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_bytes((newline.join(VOCABULARY) + newline).encode())
