"""Lists in, the teacher's logits out, each list once: what has been scored is on disk and survives a stop.

The cache is one line of JSON a list, under a hash of its texts; it holds no text.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from serve_app.scorer.loading import LoadedModel
from training.lists import ScoringList

PAIRS_AT_ONCE = 1_000
"""Pairs that are scored and saved together: enough to find rows of like length, few enough to lose."""

Scores = Sequence[Sequence[float]]


class Teacher:
    """A cross-encoder whose scores are kept."""

    def __init__(self, model: LoadedModel, cache: Path) -> None:
        self._model = model
        self._cache = cache

    def score(self, lists: Sequence[ScoringList], passages: Sequence[str], label: str) -> Scores:
        """The logit of each passage of each list, in their order; only what is not in the cache is computed."""
        keys = [_key(each, passages) for each in lists]
        known = self._read()
        missing = [(key, each) for key, each in zip(keys, lists, strict=True) if key not in known]
        columns = (
            TextColumn(label),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("lists"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns) as progress, self._cache.open("a", encoding="utf-8") as lines:
            task = progress.add_task(label, total=len(lists), completed=len(lists) - len(missing))
            for part in _portions(missing):
                for (key, _), logits in zip(part, self._compute([each for _, each in part], passages), strict=True):
                    known[key] = logits
                    lines.write(json.dumps([key, [round(logit, 4) for logit in logits]]) + "\n")
                lines.flush()
                progress.advance(task, len(part))
        return [known[key] for key in keys]

    def _compute(self, lists: Sequence[ScoringList], passages: Sequence[str]) -> Iterator[Sequence[float]]:
        rows = [
            row
            for each in lists
            for row in self._model.tokenizer.rows_now(each.query, [passages[place] for place in each.passages])
        ]
        logits = iter(self._model.engine.run(rows))
        return ([next(logits) for _ in each.passages] for each in lists)

    def _read(self) -> dict[str, Sequence[float]]:
        """What has been scored; a last line that was cut off counts for nothing."""
        known: dict[str, Sequence[float]] = {}
        if self._cache.is_file():
            whole, _, torn = self._cache.read_text(encoding="utf-8").rpartition("\n")
            if torn:
                self._cache.write_text(whole + "\n" if whole else "", encoding="utf-8")
            known.update(json.loads(line) for line in whole.splitlines())
        return known


def _portions(missing: Sequence[tuple[str, ScoringList]]) -> Iterator[Sequence[tuple[str, ScoringList]]]:
    portion: list[tuple[str, ScoringList]] = []
    for key, each in missing:
        portion.append((key, each))
        if sum(len(other.passages) for _, other in portion) >= PAIRS_AT_ONCE:
            yield portion
            portion = []
    if portion:
        yield portion


def _key(each: ScoringList, passages: Sequence[str]) -> str:
    texts = "\0".join([each.query, *(passages[place] for place in each.passages)])
    return hashlib.sha256(texts.encode()).hexdigest()[:24]
