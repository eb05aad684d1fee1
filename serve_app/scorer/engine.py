"""Rows in, logits out: one model on one device. It knows no text, no queue and no Ray."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Literal, cast

import torch
from torch import Tensor

from serve_app.catalog import Variant
from serve_app.errors import EngineFailure, WeightsInvalid
from serve_app.scorer.budget import PASSES_AT_ONCE, sizes, smallest_nearly_fastest
from serve_app.scorer.checkpoint import load_cross_encoder
from serve_app.scorer.heads import CrossEncoder
from serve_app.scorer.inference import InferenceModel
from serve_app.scorer.packing import PathName, Row
from serve_app.scorer.paths import choose_path
from serve_app.scoring import Device

CPU_TOKEN_BUDGET = 2_048
"""Tokens of one pass on a CPU. Two passes side by side of MiniLM-L6 in bf16, on two Xeon cores: 414 docs/s with 2,048,
413 with 1,024, 333 with 4,096 and 310 with 512."""

LEAST_TOKEN_BUDGET = 512
"""The longest row alone."""

_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
TIMED_PASSES = 3
"""Of each size, when a budget is chosen, of which the fastest counts."""
_TOLERANCE = {"fp32": 1e-3, "fp16": 0.05, "bf16": 0.25, "int8": 0.25}
"""Logits of one row in two batches may differ by this (seen in bf16: 0.025); a leaking mask differs by whole units."""


class TorchEngine:
    """Scores rows with a cross-encoder, in batches under a token budget."""

    def __init__(
        self,
        model: CrossEncoder,
        device: Device,
        dtype: str,
        token_budget: int,
        pad_id: int,
        path: PathName | None = None,
    ) -> None:
        self.device = device
        self.dtype = dtype
        self.token_budget = token_budget
        self.splits = 0
        """Batches for which the device had no memory."""
        self._threads = torch.get_num_threads()
        # A GPU's batches are handed to it one by one; a CPU's are computed in the thread that brings them.
        self._turn: AbstractContextManager[object] = threading.Lock() if device == "cuda" else nullcontext()
        model.to(device)
        model.body.to(dtype=_DTYPES[native_dtype(device) if dtype == "int8" else dtype])
        self._path = choose_path(InferenceModel(model, dtype == "int8"), device, dtype, pad_id, token_budget, path)
        self.path = self._path.name

    @classmethod
    def load(
        cls, variant: Variant, folder: Path, device: Device, pad_id: int, path: PathName | None = None
    ) -> "TorchEngine":
        """The variant's model on the device; raises WeightsInvalid."""
        if variant.serving.dtype == "int8" and not computes_int8(device):
            raise WeightsInvalid(f"{device} has no fast int8 here, which takes a CPU with VNNI: use dtype auto")
        model = load_cross_encoder(variant, folder)
        serving = variant.serving
        budget = serving.token_budget if device == "cuda" else CPU_TOKEN_BUDGET
        return cls(
            model, device, native_dtype(device) if serving.dtype == "auto" else serving.dtype, budget, pad_id, path
        )

    def run(self, rows: Sequence[Row], alone: bool = True) -> list[float]:
        """The relevance logit of each row, in fp32; raises EngineFailure when the device fails.

        Threads may call it at once, PASSES_AT_ONCE of them. One hands its batches to a GPU while another waits for its
        logits; on a CPU each has its part of the threads, unless it is `alone`.
        """
        if self.device == "cpu":  # OpenMP's number is of the calling thread
            torch.set_num_threads(self._threads if alone else max(1, self._threads // PASSES_AT_ONCE))
        groups = self._path.groups([len(row.ids) for row in rows], self.token_budget)
        try:
            with self._turn:
                fetch = _fetched(torch.cat([self._launch([rows[i] for i in members]) for members in groups]))
            ordered = fetch()
        except RuntimeError as error:  # torch's word for everything from out of memory to a lost device
            _log.exception("%s failed on %d rows", self.device, len(rows))
            raise EngineFailure("the device failed while it scored; try again") from error
        logits = [0.0] * len(rows)
        for index, logit in zip((i for members in groups for i in members), ordered, strict=True):
            logits[index] = logit
        return logits

    def portions(self, rows: Sequence[Row]) -> Sequence[Sequence[int]]:
        """What to give `run` at once, by places: all to a GPU; to a CPU a batch at a time, for passes side by side."""
        if self.device == "cuda":
            return [range(len(rows))]
        return self._path.groups([len(row.ids) for row in rows], self.token_budget)

    def tune(self, row: Row) -> None:
        """On a GPU, lower the budget to the smallest that is nearly as fast, by passes of such rows.

        A larger batch keeps small requests waiting for longer, and gains nothing once the device is full.
        """
        if self.device == "cuda":
            seconds = {size: self._seconds([row] * (size // len(row.ids))) for size in sizes(self.token_budget)}
            self.token_budget = min(self.token_budget, smallest_nearly_fastest(seconds))  # memory may have lowered it
        self._path.prepare(self.token_budget)

    def check(self, rows: Sequence[Row]) -> None:
        """Score the rows alone and together; raises WeightsInvalid when they differ or are not finite.

        It finds a mask that leaks, rows that get mixed up and weights that overflow the dtype, before a caller does.
        """
        alone = torch.tensor([self.run([row])[0] for row in rows])
        together = torch.tensor(self.run(rows))
        if not bool(torch.isfinite(alone).all() and torch.isfinite(together).all()):
            raise WeightsInvalid(f"the warm-up batch has scores that are not finite in {self.dtype}: try dtype fp32")
        if (gap := float((alone - together).abs().max())) > _TOLERANCE[self.dtype]:
            raise WeightsInvalid(f"the same pair scores {gap:.2g} apart in two batches on {self.device}: not served")

    def _seconds(self, rows: Sequence[Row]) -> float:
        """Of one pass; the first one, which is slower, does not count."""
        took: list[float] = []
        for _ in range(TIMED_PASSES + 1):
            began = time.perf_counter()
            self.run(rows)
            took.append(time.perf_counter() - began)
        return min(took[1:])

    def _launch(self, rows: Sequence[Row]) -> Tensor:
        """One batch; when the device has no memory for it, its halves, and smaller batches from now on."""
        try:
            return self._path.launch(rows)
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise
        # Out of the except clause: a traceback would keep the tensors of the failed pass alive.
        self.splits += 1
        tokens = self._path.tokens([len(row.ids) for row in rows])
        self.token_budget = min(self.token_budget, max(LEAST_TOKEN_BUDGET, tokens // 2))
        _log.warning(
            "%s has no memory for %d rows: batches of %d tokens from now on", self.device, len(rows), self.token_budget
        )
        if self.device == "cuda":
            torch.cuda.empty_cache()
        half = len(rows) // 2
        return torch.cat([self._path.launch(part) for part in (rows[:half], rows[half:])])


def _fetched(logits: Tensor) -> Callable[[], list[float]]:
    """What gives the logits once the device has them; the copy is queued now, before another thread's batch."""
    if logits.device.type == "cpu":
        return lambda: cast(list[float], logits.tolist())
    here = logits.to("cpu", non_blocking=True)  # into pinned memory
    there = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
    there.record()

    def fetch() -> list[float]:
        there.synchronize()
        return cast(list[float], here.tolist())

    return fetch


def native_dtype(device: Device) -> Literal["fp32", "fp16", "bf16"]:
    """The fastest dtype that the device computes natively.

    fp16 on every GPU: V100 has no bf16, and fp16 keeps three more bits. bf16 on CPUs with instructions for it;
    on others it is emulated, and slower than fp32.
    """
    if device == "cuda":
        return "fp16"
    has = torch.cpu.get_capabilities()
    return "bf16" if has.get("avx512_bf16") or has.get("amx_bf16") else "fp32"


def computes_int8(device: Device) -> bool:
    """Whether it multiplies int8 exactly and faster than all else: CPUs with VNNI or AMX. Older ones saturate."""
    has = torch.cpu.get_capabilities()
    return device == "cpu" and any(has.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))
