"""Documents per second of this engine, of sentence-transformers, and the device's matmul peak: one run, in turns.

Turns because machines are shared: whatever slows one of the three for a while slows the others too, so that their
ratios hold where their values do not.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from serve_app.catalog import Variant
from serve_app.scorer.engine import native_dtype
from serve_app.scorer.loading import LoadedModel, load_folder
from serve_app.scorer.packing import PathName
from serve_app.scorer.replicas import Replicas, Share
from serve_app.scorer.streaming import Pairs, compute, rows_of, score
from serve_app.scorer.token_cache import TokenCache
from serve_app.scoring import Device

PEAK_SIDE = {"cpu": 2_048, "cuda": 8_192}
"""Of the square matrices whose product is the peak."""
PEAK_PRODUCTS = 8
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one variant: medians over rounds."""

    ours: float
    """Documents per second of all replicas together, tokenising included."""
    device: float
    """The same of one, of rows that were tokenised before."""
    theirs: float | None
    """Of sentence-transformers by default, where it can load the model; on a GPU in half precision, as we are."""
    peak_flops: float
    """Of a square matmul in our dtype, per second; beside int8 in the fastest dtype of floats."""
    tokens: float
    """Tokens of a pair, on average."""
    dtype: str
    logits: Sequence[Sequence[float]]
    """Ours, for each query its documents'."""


@dataclass(frozen=True, slots=True)
class How:
    """Where, by which way through the device (None: its fastest), by how many replicas, and how often."""

    device: Device
    path: PathName | None
    replicas: int
    rounds: int


def measure(variant: Variant, folder: Path, pairs: Pairs, how: How, done: Callable[[], None]) -> Measured:
    """Score the pairs in every round, after one to warm up; calls `done` after each."""
    ours = load_folder(variant, folder, how.device, how.path)
    ours.tokenizer.cache = TokenCache(most_bytes=0)  # every round scores the same texts, and has to read them
    rows = rows_of(ours, pairs)
    dtype = ours.engine.dtype
    theirs = _sentence_transformers(folder, how.device, dtype)
    peak = _Peak(how.device, native_dtype(how.device) if dtype == "int8" else dtype)
    share = Share(variant, folder, how.device, how.path, pairs)
    with _scoring(ours, share, how.replicas) as scoring:
        contestants = [scoring, peak.multiply, lambda: compute(ours, rows)]
        if theirs is not None:
            contestants.append(lambda: theirs.predict(_flat(pairs), show_progress_bar=False))
        seconds = _in_turns(contestants, how, done)
    documents = sum(len(documents) for _, documents in pairs)
    return Measured(
        ours=documents / statistics.median(seconds[0]),
        device=documents / statistics.median(seconds[2]),
        theirs=documents / statistics.median(seconds[3]) if theirs is not None else None,
        peak_flops=peak.flops / min(seconds[1]),
        tokens=statistics.fmean(len(row.ids) for row in rows),
        dtype=dtype,
        logits=list(_by_query(compute(ours, rows), pairs)),
    )


@contextmanager
def _scoring(model: LoadedModel, share: Share, replicas: int) -> Iterator[Callable[[], object]]:
    """What scores all pairs: this process, or so many others."""
    if replicas == 1:
        yield lambda: score(model, share.pairs)
        return
    parts = (share.pairs[number::replicas] for number in range(replicas))
    with closing(Replicas([replace(share, pairs=part) for part in parts])) as several:
        yield several.score


def _in_turns(contestants: Sequence[Callable[[], object]], how: How, done: Callable[[], None]) -> list[list[float]]:
    """The seconds of each in every round but the first; another one begins each."""
    seconds: list[list[float]] = [[] for _ in contestants]
    for number in range(how.rounds + 1):
        for place in range(len(contestants)):
            turn = (place + number) % len(contestants)
            took = _timed(contestants[turn], how.device)
            if number:
                seconds[turn].append(took)
        done()
    return seconds


def flops_per_pair(variant: Variant, tokens: float) -> float:
    """Of the products with weights, whole: four of hidden x hidden and two of the feed-forward part, a layer and token.

    Attention itself, embeddings and the head are a few percent more, and are not counted.
    """
    shape = variant.shape
    return tokens * shape.layers * 2 * (4 * shape.hidden**2 + 2 * shape.hidden * shape.feed_forward)


def made_up_pairs(words: Sequence[str], documents: int) -> Pairs:
    """Queries with a hundred documents each (one has the rest), as long as passages of MS MARCO are.

    A document's tokens: median 77, a twentieth above 154, as in the pairs of TREC DL 2019 less their queries.
    """
    rng = random.Random(0)  # noqa: S311 - it hides nothing

    def text(length: float) -> str:
        return " ".join(rng.choices(words, k=max(1, round(length))))

    starts = range(0, documents, 100)
    return [
        (text(5), [text(rng.lognormvariate(4.34, 0.42)) for _ in range(min(100, documents - start))])
        for start in starts
    ]


class _Peak:
    """Square products, back to back."""

    def __init__(self, device: Device, dtype: str) -> None:
        side = PEAK_SIDE[device]
        self._matrix = torch.randn(side, side, dtype=_DTYPES[dtype], device=device)
        self.flops = PEAK_PRODUCTS * 2.0 * side**3

    def multiply(self) -> None:
        for _ in range(PEAK_PRODUCTS):
            torch.mm(self._matrix, self._matrix)


def _sentence_transformers(folder: Path, device: Device, dtype: str) -> Any:
    """Its CrossEncoder, or None where it is not installed or does not know the architecture.

    In our dtype on a GPU, and as it comes on a CPU: in fp32.
    """
    if find_spec("sentence_transformers") is None:
        return None
    from sentence_transformers import CrossEncoder
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    settings = {"dtype": _DTYPES[dtype if device == "cuda" else "fp32"]}
    try:
        return CrossEncoder(str(folder), device=device, max_length=512, model_kwargs=settings)
    except ValueError:  # transformers' word for a model type that it does not know
        return None


def _flat(pairs: Pairs) -> list[tuple[str, str]]:
    return [(query, document) for query, documents in pairs for document in documents]


def _by_query(logits: Sequence[float], pairs: Pairs) -> Iterator[Sequence[float]]:
    start = 0
    for _, documents in pairs:
        yield logits[start : start + len(documents)]
        start += len(documents)


def _timed(work: Callable[[], object], device: Device) -> float:
    began = time.perf_counter()
    work()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
