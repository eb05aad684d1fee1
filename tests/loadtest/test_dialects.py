import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.dialects import DIALECTS, Reply
from loadtest.questions import Question

GOLDEN = Path(__file__).parent.parent / "router" / "golden"
QUESTION = Question("q", ["bb", "dddd", "ccc"])
MODEL = "cross-encoder/ms-marco-MiniLM-L6-v2"


def golden(name: str) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())
    return told


@pytest.mark.parametrize(
    ("dialect", "name", "expected"),
    [
        ("tei", "tei", Reply(3, None, "")),
        ("cohere", "cohere-v2", Reply(2, 21, "")),  # it was asked for the best two
        ("jina", "jina", Reply(3, 21, MODEL)),
        ("infinity", "infinity", Reply(3, 21, MODEL)),
        ("vllm", "vllm", Reply(3, 21, MODEL)),
    ],
)
def test_the_answers_of_each_dialect_are_read(dialect: str, name: str, expected: Reply) -> None:
    assert DIALECTS[dialect].read(json.dumps(golden(name)["reply"]).encode()) == expected


@pytest.mark.parametrize("name", DIALECTS)
def test_each_dialect_asks_for_all_documents_and_for_none_of_them_back(name: str) -> None:
    told = json.loads(DIALECTS[name].write(QUESTION, "minilm-l6"))
    assert told.pop("model") == "minilm-l6"
    assert told.pop("query") == "q"
    assert told.pop("texts" if name == "tei" else "documents") == ["bb", "dddd", "ccc"]
    assert told in ({}, {"return_documents": False})
    assert "model" not in json.loads(DIALECTS[name].write(QUESTION, None))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"results": [{"index": 0}, {"index": 0}]}, Reply(1, None, "")),
        ({"results": []}, Reply(0, None, "")),
        ({"results": [{"index": 0}], "usage": None, "model": None}, Reply(1, None, "")),
        ({"results": [{"index": 0}], "usage": {"total_tokens": 9}, "model": "m"}, Reply(1, 9, "m")),
    ],
)
def test_what_an_answer_does_not_say_is_nothing(content: Any, expected: Reply) -> None:
    assert DIALECTS["native"].read(json.dumps(content).encode()) == expected


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"[]", b"null", b'{"results": null}', b'{"results": [7]}', b"\xff"]
)
def test_what_is_no_ranking_is_told(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        DIALECTS["native"].read(content)
