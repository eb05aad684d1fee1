"""Rows of token ids in, batches out, padded or packed: pure arithmetic on lengths, no device and no clock.

The cost of a padded batch is longest × rows, so rows of like length go together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

TokenIds = NDArray[np.int32]
PathName = Literal["packed", "graphs"]
"""How batches go through a device: without padding, or padded to recorded shapes."""


@dataclass(frozen=True, slots=True)
class Row:
    """One (query, document) pair: `[CLS] query [SEP] document [SEP]`.

    `ids` int32 [length]; the ids from `document_start` on belong to segment 1.
    """

    ids: TokenIds
    document_start: int


@dataclass(frozen=True, slots=True)
class Padded:
    """Rows padded to one length: `ids` and `segments` int64 [rows, length], `mask` bool, True on real tokens."""

    ids: NDArray[np.int64]
    segments: NDArray[np.int64]
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Packed:
    """Rows one after the other: `ids`, `segments`, `positions` int64 [tokens], `starts` int32 [rows + 1].

    Tokens from the last start on belong to no row.
    """

    ids: NDArray[np.int64]
    segments: NDArray[np.int64]
    positions: NDArray[np.int64]
    """Of a token in its row."""
    starts: NDArray[np.int32]
    """Row i is from `starts[i]` to `starts[i + 1]`."""
    longest: int


def group(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices of `lengths` in groups of like length, longest first, each at most `token_budget` padded tokens.

    A row that is longer than the budget is a group of its own.
    """
    groups: list[list[int]] = []
    longest = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not groups or longest * (len(groups[-1]) + 1) > token_budget:
            groups.append([])
            longest = lengths[index]
        groups[-1].append(index)
    return groups


def fill(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Indices of `lengths` in their order, in groups of at most `token_budget` tokens: for rows without padding."""
    groups: list[list[int]] = []
    room = 0
    for index, length in enumerate(lengths):
        if not groups or length > room:
            groups.append([])
            room = token_budget
        groups[-1].append(index)
        room -= length
    return groups


def pad(rows: Sequence[Row], pad_id: int = 0, shape: tuple[int, int] | None = None) -> Padded:
    """The rows as one batch, in their order; in a larger `shape` (rows, length), rows of one token follow."""
    shape = shape or (len(rows), max(len(row.ids) for row in rows))
    ids = np.full(shape, pad_id, dtype=np.int64)
    segments = np.zeros(shape, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.bool_)
    mask[len(rows) :, 0] = True  # attention to nothing at all is not a number
    for place, row in enumerate(rows):
        length = len(row.ids)
        ids[place, :length] = row.ids
        segments[place, row.document_start : length] = 1
        mask[place, :length] = True
    return Padded(ids, segments, mask)


def pack(rows: Sequence[Row], step: int = 1) -> Packed:
    """The rows without padding, in their order; zeros of no row follow, up to a multiple of `step` tokens."""
    lengths = np.array([len(row.ids) for row in rows])
    starts = np.concatenate(([0], np.cumsum(lengths)), dtype=np.int32)
    positions = np.arange(starts[-1], dtype=np.int64) - np.repeat(starts[:-1], lengths)
    document_starts = np.repeat([row.document_start for row in rows], lengths)
    segments = (positions >= document_starts).astype(np.int64)
    ids = np.concatenate([row.ids for row in rows], dtype=np.int64)
    if rest := -len(ids) % step:
        ids, segments, positions = (np.pad(each, (0, rest)) for each in (ids, segments, positions))
    return Packed(ids, segments, positions, starts, int(lengths.max()))


def eighths(size: int) -> int:
    """The next of eight sizes between powers of two: few, and at most an eighth too large."""
    step = 1 << max(0, (size - 1).bit_length() - 4)
    return -(-size // step) * step
