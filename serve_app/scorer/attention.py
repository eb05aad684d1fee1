"""How the rows of a batch lie in one matrix of tokens on a GPU, and attention within each row.

Products before and after attention know nothing of rows; `gathering` is the layout for CPUs.
"""

from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.attention.varlen import varlen_attn

WIDTHS = 8
"""Variable-length attention wants a head width that is a multiple; TinyBERT-L4's is 26."""


class Layout(Protocol):
    """The rows of one batch. Queries, keys and values of a token are side by side, each of all heads."""

    def cls(self, hidden: Tensor) -> Tensor:
        """[tokens, hidden] → the first of each row, [rows, hidden]."""

    def attend(self, projected: Tensor) -> Tensor:
        """Every token to those of its row: [tokens, 3 x hidden] → [tokens, hidden]."""

    def attend_cls(self, query: Tensor, key_value: Tensor) -> Tensor:
        """[CLS] alone to the tokens of its row: [rows, hidden] and [tokens, 2 x hidden] → [rows, hidden]."""


class PaddedLayout:
    """Rows padded to one length, one after the other; `mask` bool [rows, length], None where nothing is padding."""

    def __init__(self, rows: int, length: int, mask: Tensor | None, heads: int) -> None:
        self._rows, self._length, self._heads = rows, length, heads
        self._mask = None if mask is None else mask[:, None, None]

    def cls(self, hidden: Tensor) -> Tensor:
        """[tokens, hidden] → [rows, hidden]."""
        return hidden.view(self._rows, self._length, -1)[:, 0].contiguous()

    def attend(self, projected: Tensor) -> Tensor:
        """→ [tokens, hidden]."""
        return self._attend(*_split(projected, 3, self._heads))

    def attend_cls(self, query: Tensor, key_value: Tensor) -> Tensor:
        """→ [rows, hidden]."""
        return self._attend(*_split(query, 1, self._heads), *_split(key_value, 2, self._heads))

    def _attend(self, *parts: Tensor) -> Tensor:
        query, key, value = (part.view(self._rows, -1, *part.shape[1:]).transpose(1, 2) for part in parts)
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=self._mask)
        return attended.transpose(1, 2).flatten(0, 1).flatten(1)


class PackedLayout:
    """Rows one after the other, without padding; `starts` int32 [rows + 1], the last is the number of tokens.

    For GPUs of compute capability 8.0 and above, in half precision; `kernel` is PyTorch's own.
    """

    def __init__(self, starts: Tensor, longest: int, heads: int, kernel: Callable[..., Any] = varlen_attn) -> None:
        self._starts, self._longest, self._heads, self._kernel = starts, longest, heads, kernel
        self._alone = torch.arange(len(starts), dtype=torch.int32, device=starts.device)

    def cls(self, hidden: Tensor) -> Tensor:
        """[tokens, hidden] → [rows, hidden]."""
        return hidden[self._starts[:-1]]

    def attend(self, projected: Tensor) -> Tensor:
        """→ [tokens, hidden]."""
        return self._attend(_split(projected, 3, self._heads), self._starts, self._longest)

    def attend_cls(self, query: Tensor, key_value: Tensor) -> Tensor:
        """→ [rows, hidden]."""
        parts = *_split(query, 1, self._heads), *_split(key_value, 2, self._heads)
        return self._attend(parts, self._alone, 1)

    def _attend(self, parts: tuple[Tensor, ...], starts: Tensor, longest: int) -> Tensor:
        width = parts[0].shape[-1]
        if short := -width % WIDTHS:
            parts = tuple(functional.pad(part, (0, short)) for part in parts)
        scale = width**-0.5
        made: Tensor = self._kernel(*parts, starts, self._starts, longest, self._longest, scale=scale)
        return made[..., :width].flatten(1)


def _split(projected: Tensor, parts: int, heads: int) -> tuple[Tensor, ...]:
    """[tokens, parts x hidden] → `parts` times [tokens, heads, hidden / heads]."""
    return projected.view(len(projected), parts, heads, -1).unbind(1)
