"""The forward pass that serves: what transformers' body computes, as far as a score needs it.

The arithmetic is the same, there is less of it. Query, key and value are one product, and the last layer is computed
for the [CLS] row alone, since the head reads nothing else: that saves a seventh of MiniLM-L6's work and two fifths of
TinyBERT-L2's.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import DistilBertModel

from serve_app.errors import WeightsInvalid
from serve_app.scorer.attention import Layout, PaddedLayout
from serve_app.scorer.heads import CrossEncoder
from serve_app.scorer.products import product


class InferenceModel:
    """Made from a model that is on its device and in its dtype; that is not changed, and not needed afterwards.

    With `int8`, products with weights are in eight bits, and all else is in the model's dtype.
    """

    def __init__(self, model: CrossEncoder, int8: bool = False) -> None:
        body: Any = model.body
        if (activation := getattr(body.config, "hidden_act", None) or body.config.activation) != "gelu":
            raise WeightsInvalid(f"the model's activation is {activation}: only gelu is computed here")
        if isinstance(body, DistilBertModel):
            parts = [_distilbert_layer(layer) for layer in body.transformer.layer]
        else:
            parts = [_bert_layer(layer) for layer in body.encoder.layer]
        self.heads: int = body.config.num_attention_heads
        self.dtype: torch.dtype = body.dtype
        self._reads_segments = model.reads_segments
        self._embeddings = body.embeddings
        self._widen = getattr(body, "embeddings_project", None)  # of ELECTRA whose embeddings are narrower
        self._layers = [_Layer(each, int8) for each in parts[:-1]]
        self._last = _LastLayer(parts[-1], int8)
        self._judge = model.judge

    def padded(self, ids: Tensor, segments: Tensor, mask: Tensor | None) -> Tensor:
        """`ids`, `segments` int64 [rows, length], `mask` bool or None for no padding → fp32 logits [rows]."""
        rows, length = ids.shape
        positions = torch.arange(length, device=ids.device).expand(rows, length)
        hidden = self._embed(ids, segments, positions)
        return self._score(hidden, PaddedLayout(rows, length, mask, self.heads))

    def packed(self, ids: Tensor, segments: Tensor, positions: Tensor, layout: Layout) -> Tensor:
        """`ids`, `segments`, `positions` int64 [tokens], rows one after the other → fp32 logits, the layout's rows."""
        return self._score(self._embed(ids[None], segments[None], positions[None]), layout)

    def _embed(self, ids: Tensor, segments: Tensor, positions: Tensor) -> Tensor:
        """→ [tokens, hidden]."""
        extra = {"token_type_ids": segments} if self._reads_segments else {}
        hidden: Tensor = self._embeddings(ids, position_ids=positions, **extra)
        return (hidden if self._widen is None else self._widen(hidden)).flatten(0, 1)

    def _score(self, hidden: Tensor, layout: Layout) -> Tensor:
        for layer in self._layers:
            hidden = layer(hidden, layout)
        return self._judge(self._last(hidden, layout))


@dataclass(frozen=True, slots=True)
class _Parts:
    """The modules of one layer."""

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    attended: nn.Linear
    attended_norm: nn.LayerNorm
    up: nn.Linear
    down: nn.Linear
    norm: nn.LayerNorm


def _bert_layer(layer: Any) -> _Parts:
    """BERT's and ELECTRA's."""
    own, after = layer.attention.self, layer.attention.output
    up, out = layer.intermediate.dense, layer.output
    return _Parts(own.query, own.key, own.value, after.dense, after.LayerNorm, up, out.dense, out.LayerNorm)


def _distilbert_layer(layer: Any) -> _Parts:
    own, ffn = layer.attention, layer.ffn
    return _Parts(
        own.q_lin, own.k_lin, own.v_lin, own.out_lin, layer.sa_layer_norm, ffn.lin1, ffn.lin2, layer.output_layer_norm
    )


class _Layer:
    """One layer, for every token: attention, then the feed-forward part, each added to its input and normed."""

    def __init__(self, parts: _Parts, int8: bool) -> None:
        self._project = product(parts.query, parts.key, parts.value, int8=int8)
        self._rest = _Rest(parts, int8)

    def __call__(self, hidden: Tensor, layout: Layout) -> Tensor:
        return self._rest(layout.attend(self._project(hidden)), hidden)


class _LastLayer:
    """The same for [CLS] alone: → [rows, hidden]."""

    def __init__(self, parts: _Parts, int8: bool) -> None:
        self._query = product(parts.query, int8=int8)
        self._key_value = product(parts.key, parts.value, int8=int8)
        self._rest = _Rest(parts, int8)

    def __call__(self, hidden: Tensor, layout: Layout) -> Tensor:
        first = layout.cls(hidden)
        return self._rest(layout.attend_cls(self._query(first), self._key_value(hidden)), first)


class _Rest:
    """What follows attention in a layer."""

    def __init__(self, parts: _Parts, int8: bool) -> None:
        self._attended, self._attended_norm = product(parts.attended, int8=int8), parts.attended_norm
        self._up = product(parts.up, gelu=True, int8=int8)
        self._down, self._norm = product(parts.down, int8=int8), parts.norm

    def __call__(self, attended: Tensor, hidden: Tensor) -> Tensor:
        hidden = self._attended_norm(self._attended(attended) + hidden)
        return cast(Tensor, self._norm(self._down(self._up(hidden)) + hidden))
