"""The student before its first lesson: TinyBERT-L2's shape, made to see which words a query and a passage share.

Word and position embeddings are the teacher's, projected on the main axes of its word embeddings; a few dimensions are
kept for the segment alone. In the first head of the first layer a token attends to tokens of like meaning, and more to
those of the other segment, so that what it gathers says whether the other side has its word. A student whose layers
were merely random learnt nothing in the first 18,000 pairs (held-out tau with the teacher 0.04, this one 0.31).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from serve_app.scorer.heads import CrossEncoder, PooledHead

CONFIG: dict[str, Any] = {
    "vocab_size": 30_522,
    "hidden_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 512,
    "max_position_embeddings": 512,
    "num_labels": 1,
    "architectures": ["BertForSequenceClassification"],
    # The teacher never contradicts itself, so there is no noise that the student could learn by heart.
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
OF_SEGMENT = 8
"""Dimensions of the embeddings that tell the segments apart, and nothing else."""
SPREAD = 0.5
"""Standard deviation of the word embeddings, and size of the segment embeddings."""
LIKENESS = 0.8
"""Of query and key in the head that looks for like words: its score for the same word is about 8 x LIKENESS^2."""
ACROSS = 0.5
"""Of query and key there: by 8 x ACROSS^2 is the score higher in the other segment, and lower in the own."""


def new_student(teacher: Mapping[str, Tensor], seed: int) -> CrossEncoder:
    """A student for a BERT teacher of the same vocabulary, given its state dict under the hub's key names."""
    torch.manual_seed(seed)
    config = BertConfig(**CONFIG)
    body = BertModel(config, add_pooling_layer=False)
    student = CrossEncoder(body, PooledHead(config.hidden_size, 1), reads_segments=True)
    weights = dict(student.named_parameters())
    with torch.no_grad():
        for name, weight in weights.items():
            if name.endswith(("attention.self.value.weight", "attention.output.dense.weight")):
                nn.init.orthogonal_(weight)
            elif weight.dim() == 2 and "embeddings" not in name:
                nn.init.xavier_uniform_(weight)
        for name, table in _embeddings(teacher, config.hidden_size).items():
            weights[f"body.{name}"].copy_(table)
        _look_across(weights, config.hidden_size // config.num_attention_heads)
    return student


def _embeddings(teacher: Mapping[str, Tensor], hidden: int) -> dict[str, Tensor]:
    """Words and positions along the main axes of the words, evened out; segments in the last dimensions."""
    words, positions, segments = (f"embeddings.{t}_embeddings.weight" for t in ("word", "position", "token_type"))
    # From a file of fp16 as well, for which there is no decomposition.
    of_words, of_positions = (teacher[f"bert.{table}"].float() for table in (words, positions))
    centred = of_words - of_words.mean(dim=0)
    _, spread, axes = torch.linalg.svd(centred, full_matrices=False)
    kept = hidden - OF_SEGMENT
    # The first axes are many times as long as the last; the square root keeps their order and frees the rest.
    scaled = axes[:kept].T / spread[:kept].sqrt()
    tables = {words: centred @ scaled, positions: of_positions @ scaled}
    unit = SPREAD / tables[words].std()
    padded = {name: nn.functional.pad(table * unit, (0, OF_SEGMENT)) for name, table in tables.items()}
    sides = torch.zeros(2, hidden)
    sides[:, kept:] = torch.tensor([[-SPREAD], [SPREAD]])
    return {**padded, segments: sides}


def _look_across(weights: Mapping[str, Tensor], size: int) -> None:
    """Make the first head, of that size, look for like words on the other side."""
    attention = "body.encoder.layer.0.attention.self"
    query, key = weights[f"{attention}.query.weight"], weights[f"{attention}.key.weight"]
    kept = query.shape[1] - OF_SEGMENT
    for weight in (query, key):
        weight[:size] = 0
    query[: size - 1, :kept] = nn.init.orthogonal_(torch.empty(size - 1, kept), gain=LIKENESS)
    key[: size - 1, :kept] = query[: size - 1, :kept]
    query[size - 1, kept:] = ACROSS
    key[size - 1, kept:] = -ACROSS
