"""loadtest/locustfile.py, run by Locust without its page against a service on a socket."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.clients.environments import IndexUnreachable, environment_of, interpreter
from tests.conftest import ROOT
from tests.loadtest.fake_peer import FakePeer, Reply, fake_peer

pytestmark = pytest.mark.clients
USERS = ("--headless", "--users", "4", "--spawn-rate", "4", "--rate", "5", "--documents", "7")
SHORT = ("--run-time", "5s", "--stop-timeout", "20s")
"""Locust ends requests that are on their way without the second, and on a busy machine that can be all of them."""


@pytest.fixture(scope="module")
def python() -> Path:
    try:
        return interpreter(environment_of("locust"), ROOT, lambda _: None)
    except IndexUnreachable as missing:
        pytest.skip(str(missing))


def locust(
    python: Path, peer: FakePeer, *more: str, env: Mapping[str, str] | None = None
) -> tuple[int, Sequence[dict[str, Any]]]:
    """Its exit status, and what it counted of each kind of request."""
    done = subprocess.run(
        [python, "-m", "locust", "-f", "loadtest/locustfile.py", "--host", peer.url, *USERS, *SHORT, "--json", *more],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **(env or {})},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    counted: list[dict[str, Any]] = json.loads(done.stdout[done.stdout.index("[\n") :])
    return done.returncode, counted


def test_requests_succeed_and_no_document_is_sent_twice(python: Path) -> None:
    with fake_peer(lambda *_: Reply()) as peer:
        status, (counted,) = locust(python, peer, "--model", "tiny")
    assert status == 0
    assert (counted["name"], counted["method"], counted["num_failures"]) == ("/v1/rerank", "POST", 0)
    assert 0 < counted["num_requests"] <= len(peer.bodies)
    assert {len(body["documents"]) for body in peer.bodies} == {7}
    assert {body["model"] for body in peer.bodies} == {"tiny"}
    assert len({body["documents"][0] for body in peer.bodies}) == len(peer.bodies)


def test_a_user_asks_no_more_often_than_it_should(python: Path) -> None:
    with fake_peer(lambda *_: Reply()) as peer:
        locust(python, peer)
    assert len(peer.bodies) <= 4 * (5 * 5 + 2)


def test_refusals_and_incomplete_rankings_are_failures(python: Path) -> None:
    replies = [Reply(503), Reply(missing=1)]
    with fake_peer(lambda number, _: replies[number % 2]) as peer:
        status, (counted,) = locust(python, peer)
    assert status == 1
    assert counted["num_failures"] == counted["num_requests"] > 1


def test_workers_take_the_masters_dialect(python: Path) -> None:
    with fake_peer(lambda *_: Reply()) as peer:
        status, (counted,) = locust(python, peer, "--processes", "2", env={"RERANK_DIALECT": "cohere"})
    assert status == 0
    assert (counted["name"], counted["num_failures"]) == ("/v2/rerank", 0)
    assert counted["num_requests"] > 0
