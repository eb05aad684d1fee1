"""A retrieval run and its judgements, as evaluation reads them from files."""

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from serve_app.errors import ConfigurationError

Scores = Mapping[str, Mapping[str, float]]
"""By query id, by document id."""
Judgements = Mapping[str, Mapping[str, int]]
"""Grades, by query id, by document id."""


class Candidate(BaseModel):
    """A retrieved document."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    docid: str
    text: str


class RunLine(BaseModel):
    """One query of a run and what was retrieved for it, best first."""

    model_config = ConfigDict(coerce_numbers_to_str=True)

    qid: str
    query: str
    candidates: list[Candidate] = Field(min_length=1)


def read_run(path: Path) -> Iterator[RunLine]:
    """The lines of a JSON Lines file, gzipped or not; raises ConfigurationError that names the line."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                yield _run_line(line, f"{path}, line {number}")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the run {path} cannot be read: {error}") from None


def _run_line(line: str, place: str) -> RunLine:
    try:
        return RunLine.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the line"
        raise ConfigurationError(
            f"{place}: {key}: {first['msg']}; a line is {{qid, query, candidates: [{{docid, text}}]}}"
        ) from None


def read_judgements(path: Path) -> Judgements:
    """A qrels file in TREC format, `qid 0 docid grade`; raises ConfigurationError that names the line."""
    judged: dict[str, dict[str, int]] = {}
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            match line.split():
                case [qid, _, docid, grade] if grade.lstrip("-").isdecimal():
                    judged.setdefault(qid, {})[docid] = int(grade)
                case _:
                    raise ConfigurationError(f"{path}, line {number} is not `qid 0 docid grade`")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the judgements {path} cannot be read: {error}") from None
    if not judged:
        raise ConfigurationError(f"the judgements {path} are empty")
    return judged
