"""How a batch of rows gets onto a device and through the model: one way for each kind of device."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from serve_app.errors import ConfigurationError
from serve_app.scorer.attention import PackedLayout
from serve_app.scorer.gathering import TOKENS, GatheredLayout
from serve_app.scorer.graphs import CudaRecorder, GraphPool, bucket, full_shapes
from serve_app.scorer.inference import InferenceModel
from serve_app.scorer.packing import PathName, Row, fill, group, pack, pad
from serve_app.scoring import Device

PACKED_FROM = (8, 0)
"""Compute capability of Ampere: the first with variable-length attention in PyTorch."""


class Path(Protocol):
    """A way through the model."""

    name: PathName

    def groups(self, lengths: Sequence[int], token_budget: int) -> Sequence[Sequence[int]]:
        """Which rows go into a batch together, by their places."""

    def tokens(self, lengths: Sequence[int]) -> int:
        """What a batch of such rows costs."""

    def prepare(self, token_budget: int) -> None:
        """Get ready for batches up to so many tokens, so that no caller waits for it."""

    def launch(self, rows: Sequence[Row]) -> Tensor:
        """One batch → fp32 logits [rows] on the device, which may still be computing them."""


class GatheredPath:
    """Rows of like length one after the other, padded for attention alone: for CPUs."""

    name: PathName = "packed"

    def __init__(self, model: InferenceModel) -> None:
        self._model = model

    def groups(self, lengths: Sequence[int], token_budget: int) -> Sequence[Sequence[int]]:
        """By length."""
        return group(lengths, token_budget)

    def tokens(self, lengths: Sequence[int]) -> int:
        """Those that there are."""
        return sum(lengths)

    def prepare(self, token_budget: int) -> None:
        """Nothing to do."""

    def launch(self, rows: Sequence[Row]) -> Tensor:
        """→ fp32 logits [rows]."""
        batch = pack(rows, TOKENS)
        ids, segments, positions = map(torch.from_numpy, (batch.ids, batch.segments, batch.positions))
        with torch.inference_mode():
            layout = GatheredLayout(batch, self._model.heads, self._model.dtype)
            return self._model.packed(ids, segments, positions, layout)[layout.rows]


class PackedPath:
    """Rows one after the other, no padding: for GPUs from Ampere on, in half precision."""

    name: PathName = "packed"

    def __init__(self, model: InferenceModel) -> None:
        self._model = model

    def groups(self, lengths: Sequence[int], token_budget: int) -> Sequence[Sequence[int]]:
        """As they come."""
        return fill(lengths, token_budget)

    def tokens(self, lengths: Sequence[int]) -> int:
        """Those that there are."""
        return sum(lengths)

    def prepare(self, token_budget: int) -> None:
        """Nothing to do."""

    def launch(self, rows: Sequence[Row]) -> Tensor:
        """→ fp32 logits [rows]."""
        batch = pack(rows)
        parts = (batch.ids, batch.segments, batch.positions, batch.starts)
        ids, segments, positions, starts = (_to_gpu(torch.from_numpy(part)) for part in parts)
        with torch.inference_mode():
            return self._model.packed(ids, segments, positions, PackedLayout(starts, batch.longest, self._model.heads))


class GraphPath:
    """Rows in a few padded shapes, each recorded as a CUDA graph: for GPUs before Ampere, such as V100."""

    name: PathName = "graphs"

    def __init__(self, model: InferenceModel, pad_id: int, token_budget: int) -> None:
        self._model, self._pad_id, self._token_budget = model, pad_id, token_budget
        self._pool = GraphPool(CudaRecorder(model))

    def groups(self, lengths: Sequence[int], token_budget: int) -> Sequence[Sequence[int]]:
        """By length."""
        return group(lengths, token_budget)

    def tokens(self, lengths: Sequence[int]) -> int:
        """With padding."""
        return len(lengths) * max(lengths)

    def prepare(self, token_budget: int) -> None:
        """Record the passes of a saturated service; those of other budgets are forgotten."""
        self._token_budget = token_budget
        self._pool = GraphPool(CudaRecorder(self._model))
        for shape in full_shapes(token_budget):
            self._pool.find(shape)

    def launch(self, rows: Sequence[Row]) -> Tensor:
        """→ fp32 logits [rows]."""
        shape = bucket(len(rows), max(len(row.ids) for row in rows), self._token_budget)
        batch = pad(rows, self._pad_id, shape)
        if recorded := self._pool.find(shape):
            return recorded(batch)[: len(rows)]
        ids, segments, mask = (_to_gpu(torch.from_numpy(part)) for part in (batch.ids, batch.segments, batch.mask))
        with torch.inference_mode():
            return self._model.padded(ids, segments, mask)[: len(rows)]


def choose_path(
    model: InferenceModel, device: Device, dtype: str, pad_id: int, token_budget: int, forced: PathName | None = None
) -> Path:
    """The fastest way on that device, or the one that is asked for; raises ConfigurationError."""
    possible = possible_paths(device, dtype)
    name = forced or possible[0]
    if name not in possible:
        raise ConfigurationError(f"path {name} does not work on this {device} in {dtype}: use {' or '.join(possible)}")
    if device == "cpu":
        return GatheredPath(model)
    return GraphPath(model, pad_id, token_budget) if name == "graphs" else PackedPath(model)


def possible_paths(device: Device, dtype: str) -> tuple[PathName, ...]:
    """The fastest first."""
    if device == "cpu":
        return ("packed",)
    packs = dtype != "fp32" and torch.cuda.get_device_capability() >= PACKED_FROM
    return ("packed", "graphs") if packs else ("graphs",)


def _to_gpu(part: Tensor) -> Tensor:
    """Copied while the caller goes on: from pinned memory."""
    return part.pin_memory().to("cuda", non_blocking=True)
