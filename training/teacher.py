"""Lists in, the teacher's logits out, each list once: what has been scored is on disk and survives a stop.

The cache is one line of JSON a list, under a hash of its tokens; it holds no text.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from serve_app.scorer.engine import TorchEngine
from training.lines import Lines
from training.lists import ScoringList
from training.tokens import Texts

PAIRS_AT_ONCE = {"cpu": 1_000, "cuda": 65_536}
"""Pairs that are scored and saved together: enough to find rows of like length or to keep the device busy, few enough
to lose."""

Scores = Sequence[Sequence[float]]


class Teacher:
    """A cross-encoder whose scores are kept."""

    def __init__(self, engine: TorchEngine, texts: Texts, cache: Path, lines: Lines) -> None:
        self._engine = engine
        self._texts = texts
        self._cache = cache
        self._lines = lines

    def score(self, lists: Sequence[ScoringList], until: float = math.inf) -> Scores:
        """The logit of each passage of each list, in their order; only what is not in the cache is computed.

        What is not begun at the monotonic time `until` is not scored: then there are scores of the first lists only.
        """
        keys = [self._key(each) for each in lists]
        known = self._read()
        missing = {key: each for key, each in zip(keys, lists, strict=True) if key not in known}
        done, began = 0, time.monotonic()
        with self._cache.open("a", encoding="utf-8") as lines:
            for part in _portions(list(missing.items()), PAIRS_AT_ONCE[self._engine.device]):
                if time.monotonic() >= until:
                    break
                for (key, each), logits in zip(part, self._compute([each for _, each in part]), strict=True):
                    known[key] = logits
                    lines.write(json.dumps([key, [round(logit, 4) for logit in logits]]) + "\n")
                    done += len(each.passages)
                lines.flush()
                self._lines.progress(f"teacher: {done:,} pairs, {done / (time.monotonic() - began):,.0f} a second")
        return [known[key] for key in _beginning(keys, known)]

    def _compute(self, lists: Sequence[ScoringList]) -> Iterator[Sequence[float]]:
        rows = [self._texts.row(self._texts.places[each.query], passage) for each in lists for passage in each.passages]
        logits = iter(self._engine.run(rows))
        return ([next(logits) for _ in each.passages] for each in lists)

    def _key(self, each: ScoringList) -> str:
        """Of the list's tokens, which is what the teacher reads."""
        digest = hashlib.sha256(self._texts.queries[self._texts.places[each.query]].tobytes())
        for passage in each.passages:
            digest.update(self._texts.passages[passage].tobytes())
        return digest.hexdigest()[:24]

    def _read(self) -> dict[str, Sequence[float]]:
        """What has been scored; a last line that was cut off counts for nothing."""
        known: dict[str, Sequence[float]] = {}
        if self._cache.is_file():
            whole, _, torn = self._cache.read_text(encoding="utf-8").rpartition("\n")
            if torn:
                self._cache.write_text(whole + "\n" if whole else "", encoding="utf-8")
            known.update(json.loads(line) for line in whole.splitlines())
        return known


def _portions(missing: Sequence[tuple[str, ScoringList]], most: int) -> Iterator[Sequence[tuple[str, ScoringList]]]:
    portion: list[tuple[str, ScoringList]] = []
    pairs = 0
    for key, each in missing:
        portion.append((key, each))
        pairs += len(each.passages)
        if pairs >= most:
            yield portion
            portion, pairs = [], 0
    if portion:
        yield portion


def _beginning(keys: Sequence[str], known: Mapping[str, Sequence[float]]) -> Iterator[str]:
    """The keys up to the first that is not known."""
    for key in keys:
        if key not in known:
            return
        yield key
