"""Which tokens of a long document are read, and in how many chunks: pure arithmetic on lengths."""

import math
from collections.abc import Iterator, Sequence

from serve_app.errors import InputTooLong
from serve_app.scoring import Reading


def chunks(length: int, room: int, reading: Reading) -> Iterator[slice]:
    """Where the chunks of a document of `length` tokens lie, at least one; each has at most `room` tokens.

    A chunk begins `overlap_tokens` before the end of the one before it.
    """
    length = min(length, reading.max_tokens_per_doc or length)
    step = room - min(reading.overlap_tokens, room // 2)
    for number in range(reading.max_chunks_per_doc):
        start = number * step
        yield slice(start, min(start + room, length))
        if start + room >= length:
            return


def capacity(room: int, reading: Reading) -> int:
    """Tokens of a document that are read at most."""
    step = room - min(reading.overlap_tokens, room // 2)
    fits = room + (reading.max_chunks_per_doc - 1) * step
    return min(fits, reading.max_tokens_per_doc or fits)


def require_fit(place: int, length: int, room: int, reading: Reading, counted: int) -> None:
    """Raises InputTooLong for the document at `place` unless it is read whole; `counted` tokens were looked at."""
    wanted = min(length, reading.max_tokens_per_doc or length)
    if wanted > (most := capacity(room, reading)):
        known = f"{length}" if length < counted else f"at least {length}"
        raise InputTooLong(
            f"document {place} has {known} tokens and {most} fit beside the query: shorten it, or allow truncation",
            f"documents.{place}",
        )


def best_of(documents: Sequence[int], logits: Sequence[float], count: int) -> tuple[float, ...]:
    """Of each of `count` documents the highest logit of its chunks; `documents[i]` is whose chunk i is."""
    best = [-math.inf] * count
    for document, logit in zip(documents, logits, strict=True):
        best[document] = max(best[document], logit)
    return tuple(best)
