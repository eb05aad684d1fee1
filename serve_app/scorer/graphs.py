"""Shapes that a GPU without variable-length attention computes, and the passes recorded for them.

A V100 takes longer to be told what to do than to do it: MiniLM-L6 is some hundred short kernels. A CUDA graph tells it
once a shape. Shapes are few, because each graph holds memory.
"""

import logging
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from serve_app.scorer.inference import InferenceModel
from serve_app.scorer.packing import Padded
from serve_app.scorer.tokenizer import MAX_LENGTH

Shape = tuple[int, int]
"""Rows, length."""
Pass = Callable[[Padded], Tensor]
"""A batch of one shape → fp32 logits [rows] on the device."""

STEP = 16
"""Lengths are multiples of it: half precision runs fastest at multiples of 8, and 32 lengths are few enough."""
MOST_GRAPHS = 96

_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log


def bucket(rows: int, longest: int, token_budget: int) -> Shape:
    """The shape for so many rows: the next length, and a power of two of rows or as many as the budget allows."""
    length = min(-(-longest // STEP) * STEP, MAX_LENGTH)
    full = token_budget // length
    return max(rows, min(1 << (rows - 1).bit_length(), full)), length


def full_shapes(token_budget: int) -> Iterator[Shape]:
    """Those of a saturated service, largest first, so that the smaller ones find their memory already there."""
    for length in range(MAX_LENGTH, 0, -STEP):
        yield max(1, token_budget // length), length


class GraphPool:
    """Recorded passes by shape, at most `most` of them."""

    def __init__(self, record: Callable[[Shape], Pass], most: int = MOST_GRAPHS) -> None:
        self._record = record
        self._most = most
        self._passes: dict[Shape, Pass | None] = {}

    def find(self, shape: Shape) -> Pass | None:
        """The recorded pass of that shape, recorded now if there is room for it; None when there is none."""
        if shape not in self._passes and len(self._passes) < self._most:
            self._passes[shape] = self._record_if_it_fits(shape)
        return self._passes.get(shape)

    def _record_if_it_fits(self, shape: Shape) -> Pass | None:
        """None when the device has no memory for it: the engine then finds that out too, and halves the batch."""
        try:
            return self._record(shape)
        except torch.OutOfMemoryError:
            _log.warning("there is no memory to record a pass of %d rows of %d tokens", *shape)
            return None


class CudaRecorder:
    """Records passes of one model; all share one pool of memory, since one runs at a time."""

    def __init__(self, model: InferenceModel) -> None:
        self._model = model
        self._memory = torch.cuda.graph_pool_handle()

    def __call__(self, shape: Shape) -> Pass:
        """Record a pass of the shape; it copies its batch in, and its logits out before the next one runs."""
        ids = torch.zeros(shape, dtype=torch.int64, device="cuda")
        segments, mask = torch.zeros_like(ids), torch.ones(shape, dtype=torch.bool, device="cuda")
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.inference_mode(), torch.cuda.stream(aside):
            self._model.padded(ids, segments, mask)  # what is allocated on first use may not be recorded
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Of this thread alone: another may be waiting for its logits.
        mode = "thread_local"
        with torch.inference_mode(), torch.cuda.graph(graph, pool=self._memory, capture_error_mode=mode):
            logits = self._model.padded(ids, segments, mask)

        def replay(batch: Padded) -> Tensor:
            with torch.inference_mode():
                for there, here in zip((ids, segments, mask), (batch.ids, batch.segments, batch.mask), strict=True):
                    there.copy_(torch.from_numpy(here).pin_memory(), non_blocking=True)
                graph.replay()
                return logits.clone()

        return replay
