"""The texts of a distillation: passages, queries, and lists of candidates that a first stage retrieved.

Read from a folder with `passages.jsonl.gz` ({docid, text}), `queries.txt.gz` (one a line) and `candidates.jsonl.gz`
({query, docids}). It knows nothing of teachers or students.
"""

import gzip
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serve_app.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A query and the places of its candidates in `Corpus.passages`, best first."""

    query: str
    passages: Sequence[int]


@dataclass(frozen=True, slots=True)
class Corpus:
    """Everything that was read; equal passages are one."""

    passages: Sequence[str]
    queries: Sequence[str]
    retrieved: Sequence[Retrieved]


def read_corpus(folder: Path) -> Corpus:
    """Read the folder; raises ConfigurationError that names the file which is not there."""
    place_of_text: dict[str, int] = {}
    place_of_docid: dict[str, int] = {}
    for line in _json_lines(folder / "passages.jsonl.gz"):
        text = " ".join(line["text"].split())
        place_of_docid[line["docid"]] = place_of_text.setdefault(text, len(place_of_text))
    retrieved = [
        Retrieved(line["query"], list(dict.fromkeys(place_of_docid[docid] for docid in line["docids"])))
        for line in _json_lines(folder / "candidates.jsonl.gz")
    ]
    queries = [query for query in map(str.strip, _lines(folder / "queries.txt.gz")) if query]
    return Corpus(list(place_of_text), queries, retrieved)


def _lines(path: Path) -> Iterator[str]:
    try:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            yield from lines
    except FileNotFoundError as error:
        raise ConfigurationError(f"there is no {path}: training/README.md says what the folder holds") from error


def _json_lines(path: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in _lines(path))
