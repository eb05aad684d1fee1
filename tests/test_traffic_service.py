"""Traffic that moves in a real service: two routers with a Redis, one model under several names, some with faults.

Run with -s to see the figures that the tests measured.
"""

import asyncio
import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from rich.console import Console

from loadtest.acts import Story, table
from loadtest.questions import make_up_questions, sized
from loadtest.service import write_bodies
from loadtest.traffic import USER, play
from serve_app.catalog import Catalog
from tests.connections import Answer, Ask, tell
from tests.faults import Fault, as_argument, write_catalog
from tests.fleet import ROUTERS, Fleet, fleet
from tests.redis_server import database

pytestmark = pytest.mark.slow
CONNECTIONS = 4
DESK_BACK_WITHIN_S = 60.0
FAULTS = {
    "failing": Fault(failing=0.3),
    "slow": Fault(slower=3),
    "inverted": Fault(inverted=True),
}
EVERYWHERE_WITHIN_S = 2.0
"""All routers have a change by then."""
ROUTE = "/admin/routes/search"


@pytest.fixture(scope="module")
def routers(catalog: Catalog, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("lanes")
    given = write_catalog(catalog, ["old", "new", *FAULTS], folder)
    with fleet({**given, "redis_url": database(redis_url, 6), "open": True, "faults": as_argument(FAULTS)}) as running:
        yield running


def _put(running: Fleet, **weights: float) -> dict[str, Any]:
    lanes = [{"variant": name, "weight": weight} for name, weight in weights.items()]
    changed = running.http.put(ROUTE, json={"lanes": lanes})
    assert changed.status_code == 200, changed.text
    return dict(changed.json())


def _bodies() -> Iterator[Ask]:
    for number in itertools.count():
        body = {"model": "search", "query": f"question {number}", "documents": ["the sea", "a house", "bread"]}
        yield Ask("/v1/rerank", json.dumps(body).encode(), None)


@contextmanager
def _under_load(running: Fleet) -> Iterator[list[Answer]]:
    """Asks all the while; the answers are there when the block has ended."""
    ended, answers = threading.Event(), list[Answer]()
    with ThreadPoolExecutor(1) as thread:
        driving = thread.submit(
            running.drive, itertools.takewhile(lambda _: not ended.is_set(), _bodies()), CONNECTIONS
        )
        try:
            yield answers
        finally:
            ended.set()
        answers += driving.result()


def _model(answer: Answer) -> str:
    model: str = json.loads(answer.body)["model"]
    return model.removeprefix("test/")


def test_a_change_is_everywhere_within_two_seconds_and_fails_nothing(routers: Fleet) -> None:
    steps = ({"old": 100.0}, {"new": 100.0}, {"old": 100.0, "new": 0.0}, {"old": 50.0, "new": 50.0}, {"new": 100.0})
    _put(routers, **steps[0])
    held: list[tuple[float, float]] = []
    with _under_load(routers) as answers:
        for weights in steps:
            _put(routers, **weights)
            began = time.time()
            time.sleep(3.0)
            held.append((began, time.time()))
    assert {answer.status for answer in answers} == {200}
    assert min(routers.of_each_router(answers)) > len(answers) / (2 * ROUTERS)
    for (began, ended), weights in zip(held, steps, strict=True):
        own = [answer for answer in answers if began < answer.began < ended]
        late = [answer.began - began for answer in own if not weights.get(_model(answer))]
        tell(f"{len(own)} answers; others answered until {max(late, default=0.0):.2f} s after the change")
        assert max(late, default=0.0) < EVERYWHERE_WITHIN_S
    shared = Counter(_model(answer) for answer in answers if held[3][0] < answer.began < held[3][1])
    assert min(shared["old"], shared["new"]) > 0.3 * shared.total()


def test_the_last_change_is_taken_back(routers: Fleet) -> None:
    _put(routers, old=100)
    _put(routers, new=100)
    undone = routers.http.post("/admin/routes/undo").json()
    shown = routers.http.get("/admin/routes").json()
    assert shown["version"] == undone["version"]
    [route] = shown["routes"]
    assert [lane["variant"] for lane in route["lanes"]] == ["old"]
    assert [change["who"] for change in shown["changes"][:3]] == ["open"] * 3


def test_a_desk_that_dies_is_replaced_and_knows_what_it_knew(routers: Fleet) -> None:
    version = _put(routers, old=90, new=10)["version"]
    [desk] = routers.replicas("traffic-desk")
    with _under_load(routers) as answers:
        desk.kill()
        until = time.monotonic() + DESK_BACK_WITHIN_S
        while (shown := routers.http.get("/admin/routes")).status_code != 200:
            assert time.monotonic() < until, shown.text
            time.sleep(0.2)
    assert {answer.status for answer in answers} == {200}
    assert shown.json()["version"] == version
    assert _put(routers, new=100)["version"] == version + 1


def test_bad_canaries_are_stopped_and_cost_nobody_an_answer(routers: Fleet) -> None:
    story = Story("old", "new", list(FAULTS), hold_s=4.0, percent=30.0)
    bodies = write_bodies(sized(make_up_questions(), 10), "search", user=USER)
    acts = asyncio.run(play(routers.url, None, "search", story, bodies, rate=15.0))
    Console(width=200).print(table(acts))
    assert not any(act.failures for act in acts)
    for act in acts:
        assert act.settled_after_s is None or act.settled_after_s < EVERYWHERE_WITHIN_S
        if act.name.startswith("bad"):
            assert act.aborted_after_s is not None
    who = [change["who"] for change in routers.http.get("/admin/routes").json()["changes"]]
    assert who.count("guard") == len(FAULTS)
