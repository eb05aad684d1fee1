"""Attention of short rows, on a CPU and on a GPU."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Attend = Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]
"""query [rows, heads, n, width], key and value [rows, heads, length, width], bias → [rows, n, heads x width].

`bias`, None or [rows, heads, n, length], is added to the scores: see `padding_bias`.
"""


def attention_on(device: torch.device) -> Attend:
    """The faster of the two there."""
    return by_products if device.type == "cpu" else fused


def padding_bias(mask: Tensor, heads: int, dtype: torch.dtype) -> Tensor:
    """`mask` bool [rows, length], True on real tokens → [rows, heads, length, length]: 0 there, -inf on padding."""
    rows, length = mask.shape
    bias = torch.zeros(rows, 1, 1, length, dtype=dtype, device=mask.device)
    bias.masked_fill_(~mask[:, None, None], -math.inf)
    return bias.expand(rows, heads, length, length)


def fused(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """PyTorch's own."""
    return functional.scaled_dot_product_attention(query, key, value, attn_mask=bias).transpose(1, 2).flatten(2)


def by_products(query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
    """The same in three steps, with all scores in memory: twice as fast on a CPU up to 512 tokens.

    21 rows of 97 tokens in bf16 on two Zen cores: 2.8 ms where the fused kernel takes 5.0.
    """
    rows, heads, length, width = query.shape
    flat = rows * heads
    query, key, value = (part.reshape(flat, -1, width) for part in (query, key, value))
    start = query.new_zeros(()) if bias is None else bias.reshape(flat, length, -1)
    beta = 0 if bias is None else 1
    scores = torch.baddbmm(start, query, key.transpose(1, 2), beta=beta, alpha=width**-0.5)
    # In place: new memory of that size costs as much as the softmax itself.
    torch.softmax(scores, -1, out=scores)
    return torch.bmm(scores, value).view(rows, heads, length, width).transpose(1, 2).flatten(2)
