"""The architectures of the catalog: which body, how its CLS row becomes one relevance logit, how keys are named.

A new architecture is one entry in ARCHITECTURES. The heads are written here, and not taken from the
library's `...ForSequenceClassification`, because a score has to be one logit whatever the checkpoint's head:
with two labels it is logit 1 minus logit 0, whose sigmoid is the softmax that the published figures ranked by
(logit 1 alone gives another order).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ElectraConfig,
    ElectraModel,
    PreTrainedConfig,
    PreTrainedModel,
)

from serve_app.catalog import Architecture


class PooledHead(nn.Module):
    """BERT: tanh of a dense layer, then the labels."""

    def __init__(self, hidden: int, labels: int) -> None:
        super().__init__()
        self.dense = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, labels)

    def forward(self, cls: Tensor) -> Tensor:
        """[rows, hidden] → [rows, labels]."""
        logits: Tensor = self.out(torch.tanh(self.dense(cls)))
        return logits


class GeluHead(PooledHead):
    """ELECTRA: the same with gelu."""

    def forward(self, cls: Tensor) -> Tensor:
        """[rows, hidden] → [rows, labels]."""
        logits: Tensor = self.out(nn.functional.gelu(self.dense(cls)))
        return logits


class LinearHead(nn.Module):
    """One linear layer: Capreolus' ELECTRA, the DistilBERT of `neural-ranking-kd` (BERT_Cat)."""

    def __init__(self, hidden: int, labels: int) -> None:
        super().__init__()
        self.out = nn.Linear(hidden, labels)

    def forward(self, cls: Tensor) -> Tensor:
        """[rows, hidden] → [rows, labels]."""
        logits: Tensor = self.out(cls)
        return logits


class CrossEncoder(nn.Module):
    """Body and head. The head stays in fp32: it costs nothing on CLS rows alone, and half precision rounds it."""

    def __init__(self, body: PreTrainedModel, head: nn.Module, reads_segments: bool) -> None:
        super().__init__()
        self.body: nn.Module = body
        self.head = head
        self.reads_segments = reads_segments

    def forward(self, ids: Tensor, segments: Tensor, mask: Tensor | None) -> Tensor:
        """`ids`, `segments` int64 [rows, length], `mask` bool or None for no padding → fp32 logits [rows].

        The whole body in transformers' own words; `inference` has the pass that serves.
        """
        extra = {"token_type_ids": segments} if self.reads_segments else {}
        return self.judge(self.body(input_ids=ids, attention_mask=mask, **extra).last_hidden_state[:, 0])

    def judge(self, cls: Tensor) -> Tensor:
        """The [CLS] rows [rows, hidden] → fp32 logits [rows]."""
        logits: Tensor = self.head(cls.float())
        return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]


@dataclass(frozen=True, slots=True)
class Entry:
    """One architecture. `keys` maps beginnings of checkpoint keys to ours; `harmless` keys may be there in vain."""

    config: type[PreTrainedConfig]
    body: Callable[[Any], PreTrainedModel]
    head: Callable[[int, int], nn.Module]
    keys: Mapping[str, str]
    harmless: tuple[str, ...] = ()
    reads_segments: bool = True
    feed_forward_key: str = "intermediate_size"
    """What its configuration calls the size of the feed-forward part."""

    def hub_name(self, key: str) -> str:
        """The checkpoint's name of one of our keys."""
        theirs, ours = next((theirs, ours) for theirs, ours in self.keys.items() if key.startswith(ours))
        return theirs + key[len(ours) :]


_POSITIONS = "embeddings.position_ids"  # a buffer that old versions of transformers saved

ARCHITECTURES: Mapping[Architecture, Entry] = {
    Architecture.BERT: Entry(
        config=BertConfig,
        body=lambda config: BertModel(config, add_pooling_layer=False),
        head=PooledHead,
        keys={"bert.pooler.dense.": "head.dense.", "bert.": "body.", "classifier.": "head.out."},
        harmless=(f"bert.{_POSITIONS}", "fit_dense."),  # TinyBERT's distillation layer, unused afterwards
    ),
    Architecture.ELECTRA: Entry(
        config=ElectraConfig,
        body=ElectraModel,
        head=GeluHead,
        keys={"electra.": "body.", "classifier.dense.": "head.dense.", "classifier.out_proj.": "head.out."},
        harmless=(f"electra.{_POSITIONS}",),
    ),
    Architecture.ELECTRA_LINEAR: Entry(
        config=ElectraConfig,
        body=ElectraModel,
        head=LinearHead,
        keys={"electra.": "body.", "classifier.out_proj.": "head.out."},
        # The file has a dense layer that the authors' head never runs (capreolus, ElectraRelevanceHead).
        harmless=(f"electra.{_POSITIONS}", "classifier.dense."),
    ),
    Architecture.DISTILBERT_CAT: Entry(
        config=DistilBertConfig,
        body=DistilBertModel,
        head=LinearHead,
        keys={"bert_model.": "body.", "_classification_layer.": "head.out."},
        harmless=(f"bert_model.{_POSITIONS}",),
        reads_segments=False,
        feed_forward_key="hidden_dim",
    ),
}
