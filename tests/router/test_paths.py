from typing import Any

import pytest

from serve_app.router.paths import PLACES, dialect_at

SHARED = next(place for place in PLACES if place.path == "/rerank")
OWN = next(place for place in PLACES if place.path == "/v2/rerank")


@pytest.mark.parametrize(
    ("sent", "preferred", "told"),
    [
        ({"documents": ["a"]}, None, "native"),
        ({"documents": ["a"], "top_n": 3, "return_documents": True}, None, "native"),
        ({"texts": ["a"]}, None, "tei"),
        ({"passages": [{"text": "a"}], "top_k": 3}, None, "nim"),
        ({"documents": ["a"], "property": ""}, None, "weaviate"),
        ({"documents": ["a"], "top_k": 3}, None, "voyage"),
        ({"documents": ["a"], "truncation": False}, None, "voyage"),
        ({"documents": ["a"], "top_k": None}, None, "native"),
        ({"documents": ["a"]}, "infinity", "infinity"),
        ({"documents": ["a"]}, "vllm", "vllm"),
        ({"documents": ["a"]}, "voyage", "voyage"),
        ({"documents": ["a"]}, "cohere-v1", "cohere-v1"),
        ({"documents": ["a"]}, "tei", "native"),  # has `texts`, or is not TEI's
        ({"texts": ["a"]}, "infinity", "tei"),  # what the body tells is not a matter of preference
    ],
)
def test_a_body_is_told_apart(sent: dict[str, Any], preferred: str | None, told: str) -> None:
    assert dialect_at(SHARED, sent, preferred).name == told


def test_a_place_of_one_dialect_asks_nothing() -> None:
    assert dialect_at(OWN, {"texts": ["a"]}, "infinity").name == "cohere-v2"


def test_no_path_is_listed_twice() -> None:
    paths = [place.path for place in PLACES]
    assert len(set(paths)) == len(paths)
