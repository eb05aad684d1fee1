"""Rows of token ids in, padded batches out: pure arithmetic on lengths, no device and no clock.

The cost of a padded batch is longest × rows, so rows of like length go together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TokenIds = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Row:
    """One (query, document) pair: `[CLS] query [SEP] document [SEP]`.

    `ids` int32 [length]; the ids from `document_start` on belong to segment 1.
    """

    ids: TokenIds
    document_start: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows padded to the longest: `ids` and `segments` int64 [rows, longest], `mask` bool, True on real tokens."""

    ids: NDArray[np.int64]
    segments: NDArray[np.int64]
    mask: NDArray[np.bool_]


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


def pad(rows: Sequence[Row], pad_id: int = 0) -> Batch:
    """The rows as one batch, in their order."""
    shape = len(rows), max(len(row.ids) for row in rows)
    ids = np.full(shape, pad_id, dtype=np.int64)
    segments = np.zeros(shape, dtype=np.int64)
    mask = np.zeros(shape, dtype=np.bool_)
    for place, row in enumerate(rows):
        length = len(row.ids)
        ids[place, :length] = row.ids
        segments[place, row.document_start : length] = 1
        mask[place, :length] = True
    return Batch(ids, segments, mask)
