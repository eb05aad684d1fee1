"""Texts in, token ids of all of them in one array out, each tokenised once; and rows of two of them.

A row is `[CLS] query [SEP] passage [SEP]`, as `PairTokenizer` makes it. It is made here from the parts, since there are
a hundred times as many pairs as texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from serve_app.scorer.packing import Row, TokenIds
from serve_app.scorer.tokenizer import MAX_LENGTH, PairTokenizer
from serve_app.scoring import Device

ROUNDED = 16
"""Rows are padded to a multiple of so many tokens: what GPUs like, and few shapes."""


@dataclass(frozen=True, slots=True)
class TokenTable:
    """Texts as ids, each with a [SEP] behind."""

    ids: TokenIds
    """int32 [tokens]"""
    starts: NDArray[np.int64]
    """[texts + 1]"""

    @classmethod
    def of(cls, texts: Sequence[str], tokenizer: PairTokenizer) -> "TokenTable":
        """The texts' ids, each cut so that a row of the model holds it."""
        parts = [row.ids[row.document_start :] for row in tokenizer.rows_now("", texts)]
        return cls(np.concatenate(parts), np.cumsum([0, *map(len, parts)]))

    def __getitem__(self, place: int) -> TokenIds:
        return self.ids[self.starts[place] : self.starts[place + 1]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """[texts], with [SEP]."""
        return np.diff(self.starts)


@dataclass(frozen=True, slots=True)
class Texts:
    """The queries and passages of a run, as tokens."""

    places: Mapping[str, int]
    """Of each query in `queries`; a passage is known by its place."""
    queries: TokenTable
    passages: TokenTable
    cls_id: int
    sep_id: int
    pad_id: int

    @classmethod
    def of(cls, queries: Sequence[str], passages: Sequence[str], tokenizer: PairTokenizer) -> "Texts":
        """Tokenise everything, each query once."""
        places = {query: place for place, query in enumerate(dict.fromkeys(queries))}
        first, separator = tokenizer.rows_now("", [""])[0].ids[:2].tolist()
        asked, found = (TokenTable.of(texts, tokenizer) for texts in (list(places), passages))
        return cls(places, asked, found, first, separator, tokenizer.pad_id)

    def row(self, query: int, passage: int) -> Row:
        """The row of two places, at most as long as the model reads."""
        head = self.queries[query]
        ids = np.concatenate((np.array([self.cls_id], dtype=np.int32), head, self.passages[passage]))
        if len(ids) > MAX_LENGTH:
            ids = np.append(ids[: MAX_LENGTH - 1], np.int32(self.sep_id))
        return Row(ids, 1 + len(head))

    def lengths(self, queries: NDArray[np.int64], passages: NDArray[np.int64], longest: int) -> NDArray[np.int64]:
        """Tokens of the rows of such places, [pairs], cut to `longest`."""
        made: NDArray[np.int64] = 1 + self.queries.lengths[queries] + self.passages.lengths[passages]
        return np.minimum(made, longest)


@dataclass(frozen=True, slots=True)
class Rows:
    """Padded rows on a device."""

    ids: Tensor
    """int64 [rows, length], as are `segments`."""
    segments: Tensor
    mask: Tensor
    """bool [rows, 1, 1, length], True on real tokens: transformers looks into a mask of two dimensions, and a GPU that
    is asked for what it has computed stands still."""


class Gatherer:
    """Makes padded rows of places on the device, where all ids are."""

    def __init__(self, texts: Texts, device: Device) -> None:
        self.texts = texts
        self._tables = [
            (torch.from_numpy(table.ids).to(device), torch.from_numpy(table.starts).to(device))
            for table in (texts.queries, texts.passages)
        ]
        self.device = device

    def rows(self, queries: NDArray[np.int64], passages: NDArray[np.int64], longest: int) -> Rows:
        """The rows of such places, [rows], padded to the longest of them, and none longer than `longest`."""
        # To a multiple, unless that is more than anything needs to be.
        most = int(self.texts.lengths(queries, passages, longest).max())
        places = torch.arange(min(longest, most + -most % ROUNDED), device=self.device)
        (asked, heads), (found, tails) = (
            self._side(side, self.moved(texts)) for side, texts in enumerate((queries, passages))
        )
        head = 1 + heads
        total = (head + tails).clamp(max=longest)
        ids = torch.where(places < head, self._ids(0, asked + places - 1), self._ids(1, found + places - head))
        ids = ids.masked_fill(places == 0, self.texts.cls_id).masked_fill(places == total - 1, self.texts.sep_id)
        mask = places < total
        segments = ((places >= head) & mask).long()
        return Rows(ids.masked_fill(~mask, self.texts.pad_id), segments, mask[:, None, None])

    def moved(self, values: NDArray[Any]) -> Tensor:
        """On the device. The copy is not waited for, or the device would be idle between two batches."""
        return torch.from_numpy(values).to(self.device, non_blocking=True)

    def _side(self, side: int, texts: Tensor) -> tuple[Tensor, Tensor]:
        """Starts and lengths, int64 [rows, 1] each."""
        starts = self._tables[side][1]
        return starts[texts, None], (starts[texts + 1] - starts[texts])[:, None]

    def _ids(self, side: int, places: Tensor) -> Tensor:
        """int64; places beyond the table, which are not looked at, give any."""
        table = self._tables[side][0]
        return table[places.clamp(0, len(table) - 1)].long()
