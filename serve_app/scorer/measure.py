"""Documents per second of this engine, of sentence-transformers, and the device's matmul peak: one run, in turns.

Turns because machines are shared: whatever slows one of the three for a while slows the others too, so that their
ratios hold where their values do not.
"""

import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from serve_app.catalog import Variant
from serve_app.scorer.engine import native_dtype
from serve_app.scorer.loading import LoadedModel, load_folder
from serve_app.scorer.packing import PathName
from serve_app.scorer.token_cache import TokenCache
from serve_app.scoring import Device

PEAK_SIDE = {"cpu": 2_048, "cuda": 8_192}
"""Of the square matrices whose product is the peak."""
PEAK_PRODUCTS = 8
_DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

Pairs = Sequence[tuple[str, Sequence[str]]]
"""Queries, each with its documents."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one variant: medians over rounds."""

    ours: float
    """Documents per second, tokenising included."""
    theirs: float | None
    """The same of sentence-transformers with its default settings, where it can load the model."""
    peak_flops: float
    """Of a square matmul in our dtype, per second; beside int8 in the fastest dtype of floats."""
    tokens: float
    """Tokens of a pair, on average."""
    dtype: str
    logits: Sequence[Sequence[float]]
    """Ours, for each query its documents'."""


@dataclass(frozen=True, slots=True)
class How:
    """Where, by which way through the device (None: its fastest), and how often."""

    device: Device
    path: PathName | None
    rounds: int


def measure(variant: Variant, folder: Path, pairs: Pairs, how: How, done: Callable[[], None]) -> Measured:
    """Score the pairs in every round, after one to warm up; calls `done` after each."""
    ours = load_folder(variant, folder, how.device, how.path)
    ours.tokenizer.cache = TokenCache(most_bytes=0)  # every round scores the same texts, and has to read them
    theirs = _sentence_transformers(folder, how.device)
    dtype = ours.engine.dtype
    peak = _Peak(how.device, native_dtype(how.device) if dtype == "int8" else dtype)
    contestants: list[Callable[[], object]] = [lambda: _score(ours, pairs), peak.multiply]
    if theirs is not None:
        contestants.append(lambda: theirs.predict(_flat(pairs), show_progress_bar=False))
    seconds: list[list[float]] = [[] for _ in contestants]
    for number in range(how.rounds + 1):
        for place in range(len(contestants)):
            turn = (place + number) % len(contestants)
            took = _timed(contestants[turn], how.device)
            if number:
                seconds[turn].append(took)
        done()
    documents = sum(len(documents) for _, documents in pairs)
    rows = _rows(ours, pairs)
    return Measured(
        ours=documents / statistics.median(seconds[0]),
        theirs=documents / statistics.median(seconds[2]) if theirs is not None else None,
        peak_flops=peak.flops / min(seconds[1]),
        tokens=statistics.fmean(len(row.ids) for row in rows),
        dtype=dtype,
        logits=list(_by_query(ours.engine.run(rows), pairs)),
    )


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


def _sentence_transformers(folder: Path, device: Device) -> Any:
    """Its CrossEncoder, or None where it is not installed or does not know the architecture."""
    if find_spec("sentence_transformers") is None:
        return None
    from sentence_transformers import CrossEncoder
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    try:
        return CrossEncoder(str(folder), device=device, max_length=512)
    except ValueError:  # transformers' word for a model type that it does not know
        return None


def _score(model: LoadedModel, pairs: Pairs) -> list[float]:
    return model.engine.run(_rows(model, pairs))


def _rows(model: LoadedModel, pairs: Pairs) -> list[Any]:
    return [row for query, documents in pairs for row in model.tokenizer.rows_now(query, documents)]


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
