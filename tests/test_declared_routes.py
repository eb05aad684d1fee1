"""Routes in the `user_config` of a Serve configuration, which is how a RayService changes them: no replica restarts.

Run with -s to see the figures that the test measured.
"""

import json
import time
from collections.abc import Iterator

import httpx
import pytest

from serve_app.catalog import Catalog
from tests.connections import Ask, tell
from tests.faults import write_catalog
from tests.fleet import Fleet, fleet

pytestmark = pytest.mark.slow
BODY = {"model": "search", "query": "sea", "documents": ["a house", "bread"]}
HEARD_WITHIN_S = 10.0


@pytest.fixture(scope="module")
def declared(catalog: Catalog, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    given = write_catalog(catalog, ["old", "new"], tmp_path_factory.mktemp("declared"))
    with fleet({**given, "open": True, "declared": True, "router_replicas": 2}) as running:
        yield running


def _lanes(*names: str) -> dict[str, object]:
    return {"lanes": [{"variant": name, "weight": 1} for name in names]}


def _declare(running: Fleet, **routes: object) -> float:
    """Seconds until the service has them."""
    version = running.http.get("/admin/routes").json()["version"]
    running.declare(routes)
    began = time.monotonic()
    while running.http.get("/admin/routes").json()["version"] == version:
        assert time.monotonic() < began + HEARD_WITHIN_S
        time.sleep(0.05)
    took_s = time.monotonic() - began
    time.sleep(1.0)  # the other router hears it, too
    return took_s


def test_what_is_declared_holds_without_a_restart(declared: Fleet) -> None:
    assert declared.http.post("/v1/rerank", json=BODY).status_code == 404
    processes = {replica.pid for name in ("router", "old", "new") for replica in declared.replicas(name)}
    tell(f"routes declared: {_declare(declared, search=_lanes('old')):.2f} s")
    asks = [Ask("/v1/rerank", json.dumps(BODY).encode(), None)] * 40
    assert {answer.status for answer in declared.drive(asks, 4)} == {200}
    tell(f"routes changed: {_declare(declared, search=_lanes('new')):.2f} s")
    assert {json.loads(answer.body)["model"] for answer in declared.drive(asks, 4)} == {"test/new"}
    assert processes <= {replica.pid for name in ("router", "old", "new") for replica in declared.replicas(name)}


def test_what_was_changed_by_hand_stays_when_a_router_starts(declared: Fleet) -> None:
    _declare(declared, search=_lanes("old"))
    changed = declared.http.put("/admin/routes/search", json=_lanes("new")).json()
    for victim in declared.replicas("router"):
        victim.kill()
        time.sleep(1.0)
    until = time.monotonic() + 60.0
    while not (answer := _ask(declared)).is_success:
        assert time.monotonic() < until, answer.text
        time.sleep(0.3)
    assert answer.json()["model"] == "test/new"
    assert declared.http.get("/admin/routes").json()["version"] == changed["version"]


def _ask(running: Fleet) -> httpx.Response:
    """Also while the proxy still sends to a router that is not any more."""
    return running.http.post("/v1/rerank", json=BODY)
