import gzip
import json
import statistics
from pathlib import Path

import pytest

from loadtest.questions import STAMP, Question, make_up_questions, questions_from, read_questions, sized, write_run
from serve_app.run_file import read_run

QUESTIONS = [Question("a", ["a1", "a2"]), Question("b", ["b1", "b2"]), Question("c", ["c1"])]


def test_a_request_has_its_own_documents_and_then_those_of_the_queries_after_it() -> None:
    assert sized(QUESTIONS, 1) == [Question("a", ["a1"]), Question("b", ["b1"]), Question("c", ["c1"])]
    assert sized(QUESTIONS, 4) == [
        Question("a", ["a1", "a2", "b1", "b2"]),
        Question("b", ["b1", "b2", "c1", "a1"]),
        Question("c", ["c1", "a1", "a2", "b1"]),
    ]


def test_no_document_is_asked_twice_in_a_request() -> None:
    with pytest.raises(SystemExit, match="6 documents is wanted, and the run has 5"):
        sized(QUESTIONS, 6)


def test_a_run_is_read_gzipped_or_not(tmp_path: Path) -> None:
    lines = "".join(
        json.dumps({"query": each.query, "candidates": [{"text": text} for text in each.documents]}) + "\n"
        for each in QUESTIONS
    )
    (tmp_path / "run.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "run.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    assert questions_from(tmp_path / "run.jsonl") == QUESTIONS
    assert read_questions(tmp_path / "run.jsonl.gz", 2) == QUESTIONS[:2]


def test_an_empty_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").touch()
    with pytest.raises(SystemExit, match="is empty"):
        questions_from(tmp_path / "run.jsonl")


def test_made_up_text_is_the_same_every_time_and_as_long_as_passages() -> None:
    questions = make_up_questions()
    assert questions == make_up_questions()
    words = [len(document.split()) for question in questions for document in question.documents]
    assert statistics.median(words) == pytest.approx(77, abs=3)


def test_the_bench_reads_the_run_that_is_written_for_it(tmp_path: Path) -> None:
    write_run(QUESTIONS, tmp_path / "run.jsonl")
    read = [Question(line.query, [c.text for c in line.candidates]) for line in read_run(tmp_path / "run.jsonl")]
    assert read == [Question(each.query, [text + STAMP for text in each.documents]) for each in QUESTIONS]
