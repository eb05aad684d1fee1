import time
from typing import Any

import pytest

from loadtest import watching
from loadtest.watching import Watch
from tests.loadtest.fake_peer import Reply, fake_peer

ONE = {"id": "some/model", "state": {"replicas": 2}}
IDLE = {"id": "some/other", "state": {"replicas": 0}}
CASCADE = {"id": "cascade", "stages": [{"variant": "model"}], "state": {"replicas": 2}}


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "EVERY_S", 0.02)


def watched(models: list[dict[str, Any]], path: str = "") -> Watch:
    with (
        fake_peer(lambda *_: Reply(), models) as peer,
        watching.watching(peer.url + path, None, time.perf_counter()) as watch,
    ):
        until = time.monotonic() + 20
        while len(watch.replicas) < 3 and any(model.get("state") for model in models) and time.monotonic() < until:
            time.sleep(0.01)
    return watch


@pytest.mark.parametrize("path", ["", "/jina"])
def test_replicas_are_counted_again_and_again(path: str) -> None:
    seen = watched([ONE, IDLE, CASCADE], path).replicas
    assert len(seen) >= 3
    assert {(each.model, each.running) for each in seen} == {("some/model", 2)}
    assert [each.at for each in seen] == sorted({each.at for each in seen})


def test_a_service_that_lists_no_state_has_none() -> None:
    assert watched([{"id": "some/model"}]).seen == []


def test_a_service_that_lists_nothing_has_none() -> None:
    with watching.watching("http://127.0.0.1:1", None, time.perf_counter()) as watch:
        time.sleep(0.05)
    assert watch.seen == []
