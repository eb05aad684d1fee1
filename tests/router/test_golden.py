"""What each dialect answers to a body as its clients send it, in `golden/`; `*` is any value."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from serve_app.router.paths import PLACES

pytestmark = pytest.mark.anyio
FOLDER = Path(__file__).parent / "golden"
GOLDEN = {file.stem: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))}


def _same(answered: Any, expected: Any, place: str = "reply") -> None:
    """Equal but for `*`, and for the last digits of scores; keys in the same order."""
    if expected == "*":
        assert answered, place
    elif isinstance(expected, dict):
        assert isinstance(answered, dict), place
        assert list(answered) == list(expected), place
        for key, value in expected.items():
            _same(answered[key], value, f"{place}.{key}")
    elif isinstance(expected, list):
        assert len(answered) == len(expected), place
        for number, (one, other) in enumerate(zip(answered, expected, strict=True)):
            _same(one, other, f"{place}[{number}]")
    else:
        assert type(answered) is type(expected), place
        assert answered == (pytest.approx(expected, rel=1e-12) if isinstance(expected, float) else expected), place


@pytest.mark.parametrize("name", GOLDEN)
async def test_a_client_gets_what_it_reads(api: httpx.AsyncClient, name: str) -> None:
    golden = GOLDEN[name]
    response = await api.request(golden["method"], golden["path"], json=golden["body"])
    assert response.status_code == golden["status"], response.text
    _same(response.json(), golden["reply"])


def test_each_dialect_has_a_golden_file() -> None:
    named = {dialect.name for place in PLACES for dialect in place.dialects} - {"native"}
    assert named <= set(GOLDEN)
