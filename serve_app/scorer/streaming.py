"""Many queries through one model, as a replica does it: tokenising goes on while the device is busy."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from serve_app.scorer.budget import PASSES_AT_ONCE
from serve_app.scorer.loading import LoadedModel
from serve_app.scorer.packing import Row
from serve_app.scoring import Reading

ROWS_AT_ONCE = 2_000
"""Rows that the engine is given together, at least."""
PORTIONS_AT_ONCE = 4
"""Of so many rows, that are on their way: being tokenised, waiting for the device, or on it."""

Pairs = Sequence[tuple[str, Sequence[str]]]
"""Queries, each with its documents."""


def rows_of(model: LoadedModel, pairs: Pairs) -> list[Row]:
    """Of all queries, one after the other."""
    return [row for query, documents in pairs for row in model.tokenizer.rows_now(query, documents)]


def compute(model: LoadedModel, rows: Sequence[Row]) -> list[float]:
    """The logit of each row."""

    async def computed() -> list[float]:
        with _device() as device:
            return await _computed(model, rows, device)

    return asyncio.run(computed())


def score(model: LoadedModel, pairs: Pairs) -> list[float]:
    """The logit of each document, query by query."""
    return asyncio.run(_score_beside_tokenising(model, pairs))


async def _score_beside_tokenising(model: LoadedModel, pairs: Pairs) -> list[float]:
    room = asyncio.Semaphore(PORTIONS_AT_ONCE)
    with _device() as device:

        async def scored(portion: Pairs) -> list[float]:
            async with room:
                asked = (model.tokenizer.pairs([query], documents, Reading()) for query, documents in portion)
                rows = [row for made in await asyncio.gather(*asked) for row in made.rows]
                return await _computed(model, rows, device)

        portions = await asyncio.gather(*map(scored, _portions(pairs)))
    return [logit for logits in portions for logit in logits]


async def _computed(model: LoadedModel, rows: Sequence[Row], device: ThreadPoolExecutor) -> list[float]:
    loop = asyncio.get_running_loop()
    portions = model.engine.portions(rows)

    def run(portion: Sequence[int]) -> list[float]:
        return model.engine.run([rows[i] for i in portion], alone=len(portions) == 1)

    logits = [0.0] * len(rows)
    runs = (loop.run_in_executor(device, run, portion) for portion in portions)
    for portion, made in zip(portions, await asyncio.gather(*runs), strict=True):
        for place, logit in zip(portion, made, strict=True):
            logits[place] = logit
    return logits


def _device() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=PASSES_AT_ONCE)


def _portions(pairs: Pairs) -> Iterator[Pairs]:
    portion: list[tuple[str, Sequence[str]]] = []
    for each in pairs:
        portion.append(each)
        if sum(len(documents) for _, documents in portion) >= ROWS_AT_ONCE:
            yield portion
            portion = []
    if portion:
        yield portion
