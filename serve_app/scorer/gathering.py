"""Rows packed for the products, and gathered into padded blocks for attention: the layout for CPUs.

Products take most of the time, and take no padding here. oneDNN makes new machine code for every size of a product, for
up to 18 ms each, so sizes are few: tokens are a multiple of `TOKENS`, a block has one of a few shapes.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from serve_app.scorer.packing import Packed, eighths

Places = NDArray[np.int64]

TOKENS = 64
"""Tokens of a batch are a multiple."""
LENGTHS = 8
"""The length of a block is a multiple."""
SPLIT_SAVES = 500_000
"""Scores, of all heads, that two blocks have to have less than one. Ten passages by MiniLM-L6 take 44 ms in two blocks,
and 52 in one; with twice or half of this, a hundredth more."""
SMALLEST, LARGEST = 1e-30, 1e36
"""Sums of exponentials between them have lost nothing: a float's range is 1e-38 to 3e38, in bf16 too."""


class GatheredLayout:
    """The rows of `packed`, the longest first, whose tokens are a multiple of `TOKENS`.

    `rows` int64: where each is among the rows of the blocks, which logits are made for.
    """

    def __init__(self, packed: Packed, heads: int, dtype: torch.dtype) -> None:
        starts = packed.starts.astype(np.int64)
        ends = blocks(np.diff(starts), heads)
        self._blocks = [
            _Block(starts[begin : end + 1], heads, dtype) for begin, end in zip((0, *ends), ends, strict=False)
        ]
        first_rows = np.cumsum([0, *(block.rows for block in self._blocks)])
        kept = [first + np.arange(block.real) for first, block in zip(first_rows, self._blocks, strict=False)]
        self.rows = torch.from_numpy(np.concatenate(kept))
        self._cls = torch.cat([block.first for block in self._blocks])

    def cls(self, hidden: Tensor) -> Tensor:
        """[tokens, hidden] → [rows of the blocks, hidden]."""
        return hidden.index_select(0, self._cls)

    def attend(self, projected: Tensor) -> Tensor:
        """[tokens, 3 x hidden] → [tokens, hidden]."""
        attended = projected.new_zeros(len(projected), projected.shape[1] // 3)
        for block in self._blocks:
            block.attend(projected, attended)
        return attended

    def attend_cls(self, query: Tensor, key_value: Tensor) -> Tensor:
        """[rows of the blocks, hidden] and [tokens, 2 x hidden] → [rows of the blocks, hidden]."""
        queries = torch.split(query, [block.rows for block in self._blocks])
        return torch.cat([block.attend_cls(part, key_value) for part, block in zip(queries, self._blocks, strict=True)])


class _Block:
    """Rows of like length that begin at `starts`, the last of which is their end: int64 [rows + 1].

    Rows that fill it up see the block's first token, and score something that nobody reads.
    """

    def __init__(self, starts: Places, heads: int, dtype: torch.dtype) -> None:
        lengths = np.diff(starts)
        self.real = len(lengths)
        self.rows, self._length = eighths(self.real), LENGTHS * eighths(-(-int(lengths.max()) // LENGTHS))
        self._heads = heads
        self._span = slice(int(starts[0]), int(starts[-1]))
        here = np.arange(starts[0], starts[-1])
        row = np.repeat(np.arange(self.real), lengths)
        position = here - np.repeat(starts[:-1], lengths)
        places = row * self._length + position
        tokens = np.full(self.rows * self._length, starts[0])
        tokens[places] = here
        self._tokens = torch.from_numpy(tokens).view(self.rows, 1, self._length)
        self.first = self._tokens[:, 0, 0]
        seen = np.zeros((self.rows, self._length), dtype=np.bool_)
        seen.reshape(-1)[places] = True
        seen[self.real :] = True  # attention to nothing at all is not a number
        self._seen = torch.from_numpy(seen)[:, None, :, None].to(dtype)
        first_head = torch.from_numpy(row * heads * self._length + position)
        self._back = (first_head[:, None] + torch.arange(heads) * self._length).flatten()
        self._all, self._keys_values = self._places(3), self._places(2)

    def attend(self, projected: Tensor, attended: Tensor) -> None:
        """[tokens, 3 x hidden] of the batch → the block's tokens in [tokens, hidden]."""
        query, key, value = self._gather(projected, self._all, 3)
        found = self._attend(query, key, value)
        found = found.view(-1, found.shape[-1]).index_select(0, self._back)
        torch.div(found[:, :-1], found[:, -1:], out=attended[self._span].view(len(found), -1))

    def attend_cls(self, query: Tensor, key_value: Tensor) -> Tensor:
        """[rows of the block, hidden] and [tokens, 2 x hidden] of the batch → [rows of the block, hidden]."""
        key, value = self._gather(key_value, self._keys_values, 2)
        found = self._attend(query.view(len(key), 1, -1), key, value)
        return (found[..., :-1] / found[..., -1:]).view(self.rows, -1)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """[rows x heads, n, width] each → [rows x heads, n, width + 1]: sums of values, each with that of its weights.

        The exponentials are taken as they are: softmax, which looks for the largest score first, takes three times as
        long, and padding needs no mask where its values and weights are 0. Where that loses something it shows in the
        sums, and the largest scores are looked for.
        """
        shape = (self.rows, self._heads, self._length, -1)
        weighed = value.new_empty(*shape[:3], value.shape[-1] + 1)
        torch.mul(value.view(shape), self._seen, out=weighed[..., :-1])
        weighed[..., -1:] = self._seen
        weighed = weighed.flatten(0, 1)
        found = torch.bmm(_scores(query, key).exp_(), weighed)
        least, most = found[..., -1].aminmax()
        if bool((least > SMALLEST) & (most < LARGEST)):
            return found
        hidden = (self._seen == 0).mT.expand(*shape[:2], 1, -1).flatten(0, 1)
        scores = _scores(query, key).masked_fill_(hidden, -torch.inf)
        return torch.bmm(scores.sub_(scores.amax(-1, keepdim=True)).exp_(), weighed)

    def _gather(self, projected: Tensor, places: Tensor, parts: int) -> Tensor:
        """→ [parts, rows x heads, length, width]."""
        width = projected.shape[1] // (parts * self._heads)
        gathered = projected.view(-1, width).index_select(0, places)
        return gathered.view(parts, self.rows * self._heads, self._length, width)

    def _places(self, parts: int) -> Tensor:
        """Of each head's part of each token of the block in [tokens x parts x heads, width]."""
        part, head = torch.arange(parts), torch.arange(self._heads)
        first = part[:, None, None, None] * self._heads + head[:, None]
        return (first + self._tokens * (parts * self._heads)).flatten()


def blocks(lengths: Places, heads: int) -> list[int]:
    """Where blocks of rows end; `lengths`, the longest first. More of them have less padding, and each costs time."""
    count = np.arange(1, len(lengths))
    scores = heads * (count * lengths[0] ** 2 + (len(lengths) - count) * lengths[1:] ** 2)
    if not len(scores) or heads * len(lengths) * lengths[0] ** 2 - scores.min() < SPLIT_SAVES:
        return [len(lengths)]
    end = int(scores.argmin()) + 1
    return [*blocks(lengths[:end], heads), *(end + later for later in blocks(lengths[end:], heads))]


def _scores(query: Tensor, key: Tensor) -> Tensor:
    """→ [rows x heads, n, length]."""
    return torch.baddbmm(query.new_empty(()), query, key.mT, beta=0, alpha=query.shape[-1] ** -0.5)
