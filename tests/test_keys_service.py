"""Keys and usage of `rerank serve`, end to end: keys come and go while it runs, and its end loses no usage."""

import asyncio
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from serve_app.router.charge import Charge
from serve_app.router.usage_sqlite import SqliteSink
from tests.running import Running, rerank_serve, run

pytestmark = pytest.mark.slow

FOLLOWS_WITHIN_S = 2.0
BODY = {"query": "sea", "documents": ["a house", "bread"]}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def usage_file(tmp_path: Path) -> Path:
    return tmp_path / "usage.sqlite3"


@pytest.fixture
def first_key(key_file: Path) -> str:
    return _create(key_file, "first")


@pytest.fixture
def service(key_file: Path, usage_file: Path, first_key: str) -> Iterator[Running]:
    """With the usage of one flush, the last."""
    environment = {"RERANK_USAGE__PATH": str(usage_file), "RERANK_USAGE__FLUSH_EVERY_S": "3600"}
    with rerank_serve("--keys", str(key_file), "--variants", "rerank-tiny", environment=environment) as running:
        yield running


def _create(path: Path, name: str) -> str:
    made = run("keys", "create", name, "--file", str(path))
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def _ask(service: Running, key: str | None) -> httpx.Response:
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    return service.http.post("/v1/rerank", json=BODY, headers=headers)


def _status_becomes(service: Running, key: str, status: int) -> httpx.Response:
    """The first answer with this status; the service follows the file within two seconds."""
    until = time.monotonic() + FOLLOWS_WITHIN_S
    while (response := _ask(service, key)).status_code != status:
        assert time.monotonic() < until, response.text
        time.sleep(0.1)
    return response


async def _kept(path: Path) -> Charge:
    sink = SqliteSink(path)
    today = datetime.now(UTC).date()
    found = await sink.read(today - timedelta(1), today, None)
    await sink.close()
    return sum((charge for _, charge in found), Charge())


def test_keys_come_and_go_while_it_runs(service: Running, key_file: Path, first_key: str) -> None:
    assert _ask(service, first_key).status_code == 200
    for key in (None, first_key[:-1] + ("A" if first_key[-1] != "A" else "B")):
        refused = _ask(service, key)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        assert refused.headers["www-authenticate"] == "Bearer"
    later = _create(key_file, "later")
    _status_becomes(service, later, 200)
    revoked = run("keys", "revoke", later.split("_")[1], "--file", str(key_file))
    assert revoked.returncode == 0, revoked.stderr
    assert "is revoked" in _status_becomes(service, later, 401).json()["error"]["message"]
    assert _ask(service, first_key).status_code == 200


def test_its_end_loses_no_usage(service: Running, usage_file: Path, first_key: str) -> None:
    answered = 0
    for _ in range(50):
        response = _ask(service, first_key)
        assert response.status_code == 200
        tokens = response.json()["usage"]["total_tokens"]
        answered += 1
    assert _ask(service, None).status_code == 401
    assert asyncio.run(_kept(usage_file)) == Charge(), "what is tested is the last write"
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(60) == 0
    kept = asyncio.run(_kept(usage_file))
    assert (kept.requests, kept.documents, kept.tokens) == (answered, 2 * answered, tokens * answered)
