"""The forward pass that serves: what transformers' body computes, as far as a score needs it.

The arithmetic is the same, there is less of it. Query, key and value are one product, and the last layer is computed
for the [CLS] row alone, since the head reads nothing else: that saves a seventh of MiniLM-L6's work and two fifths of
TinyBERT-L2's. On a CPU, bf16 weights are laid out for oneDNN once instead of in every pass, and gelu is computed inside
the product before it, as `torch.compile` does it, but without its minute of compiling.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import DistilBertModel

from serve_app.errors import WeightsInvalid
from serve_app.scorer.attention import Layout, PaddedLayout
from serve_app.scorer.heads import CrossEncoder

ROWS_HINT = 2_048
"""Rows of a product for which oneDNN lays the weights out; any other number works too."""


class InferenceModel:
    """Made from a model that is on its device and in its dtype; that is not changed, and not needed afterwards."""

    def __init__(self, model: CrossEncoder) -> None:
        body: Any = model.body
        if (activation := getattr(body.config, "hidden_act", None) or body.config.activation) != "gelu":
            raise WeightsInvalid(f"the model's activation is {activation}: only gelu is computed here")
        if isinstance(body, DistilBertModel):
            parts = [_distilbert_layer(layer) for layer in body.transformer.layer]
        else:
            parts = [_bert_layer(layer) for layer in body.encoder.layer]
        self._heads = heads = body.config.num_attention_heads
        self._reads_segments = model.reads_segments
        self._embeddings = body.embeddings
        self._widen = getattr(body, "embeddings_project", None)  # of ELECTRA whose embeddings are narrower
        self._layers = [_Layer(each, heads) for each in parts[:-1]]
        self._last = _LastLayer(parts[-1], heads)
        self._judge = model.judge

    def padded(self, ids: Tensor, segments: Tensor, mask: Tensor | None) -> Tensor:
        """`ids`, `segments` int64 [rows, length], `mask` bool or None for no padding → fp32 logits [rows]."""
        rows, length = ids.shape
        positions = torch.arange(length, device=ids.device).expand(rows, length)
        hidden = self._embed(ids, segments, positions)
        return self._score(hidden, PaddedLayout(rows, length, mask, self._heads, hidden.dtype))

    def packed(self, ids: Tensor, segments: Tensor, positions: Tensor, layout: Layout) -> Tensor:
        """`ids`, `segments`, `positions` int64 [tokens], rows one after the other → fp32 logits [rows]."""
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

    def __init__(self, parts: _Parts, heads: int) -> None:
        self._heads = heads
        self._project = _product(parts.query, parts.key, parts.value)
        self._rest = _Rest(parts)

    def __call__(self, hidden: Tensor, layout: Layout) -> Tensor:
        query, key, value = _split(self._project(hidden), 3, self._heads)
        return self._rest(layout.attend(query, key, value), hidden)


class _LastLayer:
    """The same for [CLS] alone: → [rows, hidden]."""

    def __init__(self, parts: _Parts, heads: int) -> None:
        self._heads = heads
        self._query = _product(parts.query)
        self._key_value = _product(parts.key, parts.value)
        self._rest = _Rest(parts)

    def __call__(self, hidden: Tensor, layout: Layout) -> Tensor:
        first = layout.cls(hidden)
        [query] = _split(self._query(first), 1, self._heads)
        key, value = _split(self._key_value(hidden), 2, self._heads)
        return self._rest(layout.attend_cls(query, key, value), first)


class _Rest:
    """What follows attention in a layer."""

    def __init__(self, parts: _Parts) -> None:
        self._attended, self._attended_norm = _product(parts.attended), parts.attended_norm
        self._up, self._down, self._norm = _product(parts.up, gelu=True), _product(parts.down), parts.norm

    def __call__(self, attended: Tensor, hidden: Tensor) -> Tensor:
        hidden = self._attended_norm(self._attended(attended) + hidden)
        return cast(Tensor, self._norm(self._down(self._up(hidden)) + hidden))


def _split(projected: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """[tokens, parts x hidden] → `parts` times [tokens, heads, hidden / heads]."""
    return projected.view(len(projected), parts, heads, -1).unbind(1)


class _Product:
    """x W + b, and gelu of it if wanted."""

    def __init__(self, weight: Tensor, bias: Tensor, gelu: bool) -> None:
        self._weight, self._bias, self._gelu = weight, bias, gelu

    def __call__(self, x: Tensor) -> Tensor:
        product = functional.linear(x, self._weight, self._bias)
        return functional.gelu(product) if self._gelu else product


class _OneDnnProduct:
    """The same with weights in oneDNN's own layout."""

    def __init__(self, weight: Tensor, bias: Tensor, gelu: bool) -> None:
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight, ROWS_HINT)
        self._bias, self._attribute = bias, "gelu" if gelu else "none"

    def __call__(self, x: Tensor) -> Tensor:
        # Exact gelu: "none" is its approximation.
        made = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, self._attribute, [], "none")
        return cast(Tensor, made)


def _product(*linears: nn.Linear, gelu: bool = False) -> _Product | _OneDnnProduct:
    """One product for linear layers that have the same input."""
    weight = torch.cat([linear.weight.detach() for linear in linears])
    bias = torch.cat([linear.bias.detach() for linear in linears])
    one_dnn = weight.device.type == "cpu" and weight.dtype == torch.bfloat16
    return (_OneDnnProduct if one_dnn else _Product)(weight, bias, gelu)
