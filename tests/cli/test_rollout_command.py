"""`rerank rollout` over the service's own HTTP application, with requests that come all the while."""

import itertools
import os
import threading
from collections.abc import Iterator

import httpx
import pytest
from typer.testing import CliRunner, Result

from serve_app.cli import app, rolling
from serve_app.cli.lever import ServiceLever
from serve_app.errors import RerankError
from serve_app.routes import GuardLimits
from tests.clients.server import served
from tests.router.lanes import CALLERS, LaneHouse, LaneScorers, route

QUICK = ("--hold", "0.3s", "--min-observations", "3", "--max-latency-ratio", "none")


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, closed_clients: None) -> Iterator[LaneHouse]:
    """With a route `search`, and somebody who asks it."""
    monkeypatch.setattr(ServiceLever, "look_every_s", 0.05)
    house = LaneHouse(CALLERS, scorers=LaneScorers())
    ended = threading.Event()
    with served(house.api) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}") as http:
        monkeypatch.setenv("RERANK_URL", str(http.base_url))
        http.put("/admin/routes/search", json=route().terms.model_dump(mode="json")).raise_for_status()

        def ask() -> None:
            for number in itertools.takewhile(lambda _: not ended.is_set(), itertools.count()):
                http.post("/v1/rerank", json={"model": "search", "query": f"q{number}", "documents": ["a", "bb"]})

        asking = threading.Thread(target=ask)
        asking.start()
        yield house
        ended.set()
        asking.join()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["rollout", *arguments], env={"COLUMNS": "200"})


def refused(*arguments: str) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, RerankError), result.output
    return str(result.exception)


def _lanes(house: LaneHouse) -> dict[str, float]:
    return {lane.variant: lane.weight for lane in house.switchboard.book.table.routes["search"].lanes}


def test_a_good_variant_becomes_the_only_lane(house: LaneHouse) -> None:
    result = run("search", "cross-encoder/ms-marco-MiniLM-L12-v2", "--steps", "20,100", *QUICK)
    assert result.exit_code == 0, result.exception
    assert "is the only lane of search; `rerank routes undo` takes that back" in result.stdout
    assert _lanes(house) == {"minilm-l12": 100}
    whats = [change.what for change in house.switchboard.book.changes[1:]]
    assert whats == [
        "search: minilm-l6 80, minilm-l12 20 (canary)",
        "search: minilm-l6 0, minilm-l12 100 (canary)",
        "search: minilm-l12 100",
    ]


def test_a_bad_variant_is_given_up_with_its_reason(house: LaneHouse) -> None:
    house.scorers.inverted.add("minilm-l12")
    said = refused("search", "minilm-l12", "--steps", "50,100", "--compare", "1", *QUICK)
    assert said.startswith("minilm-l12 was not rolled out: its orders agree with the baseline's by -1.00")
    assert _lanes(house) == {"minilm-l6": 100, "minilm-l12": 0}


def test_interrupted_it_says_how_to_go_on_and_goes_on(house: LaneHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(rolling._WallClock, "sleep", interrupt)
        result = run("search", "minilm-l12", "--steps", "20,100", *QUICK)
    assert result.exit_code == 130
    assert "stays the canary of search; the same command with --resume goes on" in result.stdout
    assert _lanes(house) == {"minilm-l6": 80, "minilm-l12": 20}
    assert "has the canary minilm-l12 at 20 % already" in refused("search", "minilm-l12", "--steps", "20,100", *QUICK)
    assert "is none of the steps" in refused("search", "minilm-l12", "--steps", "10,100", "--resume", *QUICK)
    assert run("search", "minilm-l12", "--steps", "20,100", "--resume", *QUICK).exit_code == 0
    assert _lanes(house) == {"minilm-l12": 100}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("other", "minilm-l12"), "there is no route 'other'"),
        (("search", "bge"), "the service has no variant 'bge'"),
        (("search", "minilm-l6"), "minilm-l6 is the only lane of search"),
        (("search", "minilm-l12", "--steps", "5,1,100"), "--steps '5,1,100': steps rise from above 0 to 100"),
        (("search", "minilm-l12", "--steps", "5,x"), "--steps '5,x': it takes numbers with commas"),
        (("search", "minilm-l12", "--hold", "5 minutes"), "--hold '5 minutes' is no time: it looks like 30s, 5m or 1h"),
        (("search", "minilm-l12", "--resume"), "minilm-l12 is no canary of search that has a weight"),
    ],
)
def test_what_cannot_be_is_a_sentence(house: LaneHouse, arguments: tuple[str, ...], sentence: str) -> None:
    assert sentence in refused(*arguments)


def test_another_canary_is_in_the_way(house: LaneHouse) -> None:
    with_canary = route().with_canary("minilm-l2", 5, GuardLimits())
    httpx.put(
        f"{os.environ['RERANK_URL']}/admin/routes/search", json=with_canary.terms.model_dump(mode="json")
    ).raise_for_status()
    assert "search has the canary minilm-l2 at 5 % already" in refused("search", "minilm-l12", *QUICK)
