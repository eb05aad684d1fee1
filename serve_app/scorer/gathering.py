"""Rows packed for the products, and gathered into a padded block for attention: the layout for CPUs.

Products take most of the time, and take no padding here. oneDNN makes new machine code for every size of a product, for
up to 12 ms each, so sizes are few: tokens are a multiple of `TOKENS`, the block has one of a few shapes.
"""

import numpy as np
import torch
from torch import Tensor

from serve_app.scorer.packing import Packed, eighths

TOKENS = 64
"""Tokens of a batch are a multiple."""
LENGTHS = 8
"""The length of the block is a multiple."""
SMALLEST, LARGEST = 1e-30, 1e36
"""Sums of exponentials between them have lost nothing: a float's range is 1e-38 to 3e38, in bf16 too."""


class GatheredLayout:
    """The rows of `packed`, whose tokens are a multiple of `TOKENS`.

    Rows that fill the block up see the batch's first token, and score something that nobody reads.
    """

    def __init__(self, packed: Packed, heads: int, dtype: torch.dtype) -> None:
        starts = packed.starts.astype(np.int64)
        real, rows = starts[-1], len(starts) - 1
        self._rows, self._length = eighths(rows), LENGTHS * eighths(-(-packed.longest // LENGTHS))
        self._heads = heads
        row = np.repeat(np.arange(rows), np.diff(starts))
        places = row * self._length + packed.positions[:real]
        tokens = np.zeros(self._rows * self._length, dtype=np.int64)
        tokens[places] = np.arange(real)
        self._tokens = torch.from_numpy(tokens).view(self._rows, 1, self._length)
        seen = np.zeros((self._rows, self._length), dtype=np.bool_)
        seen.reshape(-1)[places] = True
        seen[rows:] = True  # attention to nothing at all is not a number
        self._seen = torch.from_numpy(seen)[:, None, :, None].to(dtype)
        first_head = np.zeros(len(packed.ids), dtype=np.int64)
        first_head[:real] = row * heads * self._length + packed.positions[:real]
        self._back = (torch.from_numpy(first_head)[:, None] + torch.arange(heads) * self._length).flatten()
        self._all, self._keys_values = self._places(3), self._places(2)

    def cls(self, hidden: Tensor) -> Tensor:
        """[tokens, hidden] → [rows of the block, hidden]."""
        return hidden.index_select(0, self._tokens[:, 0, 0])

    def attend(self, projected: Tensor) -> Tensor:
        """[tokens, 3 x hidden] → [tokens, hidden]."""
        query, key, value = self._gather(projected, self._all, 3)
        attended = self._attend(query, key, value)
        attended = attended.view(-1, attended.shape[-1]).index_select(0, self._back)
        return _divided(attended).view(len(projected), -1)

    def attend_cls(self, query: Tensor, key_value: Tensor) -> Tensor:
        """[rows of the block, hidden] and [tokens, 2 x hidden] → [rows of the block, hidden]."""
        key, value = self._gather(key_value, self._keys_values, 2)
        attended = self._attend(query.view(len(key), 1, -1), key, value)
        return _divided(attended).view(self._rows, -1)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[rows x heads, n, width] each → [rows x heads, n, width + 1]: sums of values, each with that of its weights.

        The exponentials are taken as they are: softmax, which looks for the largest score first, takes three times as
        long, and padding needs no mask where its values and weights are 0. Where that loses something it shows in the
        sums, and the largest scores are looked for.
        """
        shape = (self._rows, self._heads, self._length, -1)
        weighed = value.new_empty(*shape[:3], value.shape[-1] + 1)
        torch.mul(value.view(shape), self._seen, out=weighed[..., :-1])
        weighed[..., -1:] = self._seen
        weighed = weighed.flatten(0, 1)
        attended = torch.bmm(_scores(query, key).exp_(), weighed)
        least, most = attended[..., -1].aminmax()
        if bool((least > SMALLEST) & (most < LARGEST)):
            return attended
        hidden = (self._seen == 0).mT.expand(*shape[:2], 1, -1).flatten(0, 1)
        scores = _scores(query, key).masked_fill_(hidden, -torch.inf)
        return torch.bmm(scores.sub_(scores.amax(-1, keepdim=True)).exp_(), weighed)

    def _gather(self, projected: Tensor, places: Tensor, parts: int) -> Tensor:
        """→ [parts, rows x heads, length, width]."""
        width = projected.shape[1] // (parts * self._heads)
        gathered = projected.view(-1, width).index_select(0, places)
        return gathered.view(parts, self._rows * self._heads, self._length, width)

    def _places(self, parts: int) -> Tensor:
        """Of each head's part of each token of the block in [tokens x parts x heads, width]."""
        part, head = torch.arange(parts), torch.arange(self._heads)
        first = part[:, None, None, None] * self._heads + head[:, None]
        return (first + self._tokens * (parts * self._heads)).flatten()


def _scores(query: Tensor, key: Tensor) -> Tensor:
    """→ [rows x heads, n, length]."""
    return torch.baddbmm(query.new_empty(()), query, key.mT, beta=0, alpha=query.shape[-1] ** -0.5)


def _divided(attended: Tensor) -> Tensor:
    """Each by the sum of its weights, which comes last."""
    return attended[..., :-1] / attended[..., -1:]
