"""`rerank routes` over the service's own HTTP application, on a real socket, with made-up scorers."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from serve_app.cli import app
from serve_app.errors import RerankError
from tests.clients.server import served
from tests.router.lanes import CALLERS, LaneHouse, LaneScorers

TERMS = "lanes:\n  - {variant: cross-encoder/ms-marco-MiniLM-L6-v2, weight: 100}\n"


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, closed_clients: None) -> Iterator[LaneHouse]:
    house = LaneHouse(CALLERS, scorers=LaneScorers())
    with served(house.api) as port:
        monkeypatch.setenv("RERANK_URL", f"http://127.0.0.1:{port}")
        yield house


def run(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, ["routes", *arguments], input=stdin, env={"COLUMNS": "200"})


def said(*arguments: str, stdin: str = "") -> str:
    result = run(*arguments, stdin=stdin)
    assert result.exit_code == 0, result.exception or result.output
    return result.stdout


def refused(*arguments: str, stdin: str = "") -> str:
    result = run(*arguments, stdin=stdin)
    assert isinstance(result.exception, RerankError), result.output
    return str(result.exception)


def test_without_routes_it_says_how_to_make_one(house: LaneHouse) -> None:
    assert "`rerank routes set ROUTE FILE` makes one" in said("show")


def test_a_canary_from_its_start_to_its_end(house: LaneHouse, tmp_path: Path) -> None:
    file = tmp_path / "search.yaml"
    file.write_text(TERMS)
    assert said("set", "search", str(file)) == "version 1: search: minilm-l6 100\n"
    assert said("canary", "search", "minilm-l12", "--weight", "20") == (
        "version 2: search: minilm-l6 80, minilm-l12 20 (canary)\n"
    )
    lines = [line.split() for line in said("show").splitlines()]
    assert lines[1] == ["search", "minilm-l6", "80.0%", "0", "0"]
    assert lines[2] == ["minilm-l12", "20.0%", "0", "0", "canary"]
    assert lines[-1][-4:] == ["open", "search:", "minilm-l6", "100"]
    assert said("abort", "search") == "version 3: search: minilm-l6 100, minilm-l12 0 (canary)\n"
    assert said("undo") == "version 4: undone, back to version 2\n"
    assert said("promote", "search") == "version 5: search: minilm-l12 100\n"
    assert said("remove", "search", "--yes") == "version 6: search: removed\n"


def test_terms_from_stdin_as_json(house: LaneHouse) -> None:
    terms = json.dumps(
        {"lanes": [{"variant": "minilm-l6", "weight": 1}], "shadows": [{"variant": "minilm-l2", "sample": 0.5}]}
    )
    assert "minilm-l2 follows 50%" in said("set", "search", "-", stdin=terms)


def test_what_is_shown_as_json_can_be_set(house: LaneHouse) -> None:
    said("set", "search", "-", stdin=TERMS)
    [route] = json.loads(said("show", "search", "--json"))["routes"]
    assert said("set", "other", "-", stdin=json.dumps(route["terms"])) == "version 2: other: minilm-l6 100\n"


def test_the_limits_of_a_canary(house: LaneHouse) -> None:
    said("set", "search", "-", stdin=TERMS)
    said("canary", "search", "minilm-l12", "--max-latency-ratio", "none", "--max-error-rate", "0.2", "--compare", "0.5")
    canary = house.switchboard.book.table.routes["search"].canary
    assert canary is not None
    assert canary.guard is not None
    assert (canary.guard.max_latency_ratio, canary.guard.max_error_rate, canary.guard.compare) == (None, 0.2, 0.5)


def test_a_canary_by_another_name_is_the_same_lane(house: LaneHouse) -> None:
    said("set", "search", "-", stdin=TERMS)
    said("canary", "search", "minilm-l12", "--weight", "5")
    assert said("canary", "search", "cross-encoder/ms-marco-MiniLM-L12-v2", "--weight", "10") == (
        "version 3: search: minilm-l6 90, minilm-l12 10 (canary)\n"
    )


def test_asked_before_a_route_is_removed(house: LaneHouse) -> None:
    said("set", "search", "-", stdin=TERMS)
    assert run("remove", "search", stdin="n\n").exit_code == 1
    assert "search" in house.switchboard.book.table.routes
    assert "removed" in said("remove", "search", stdin="y\n")


def test_disagreements_are_shown(house: LaneHouse) -> None:
    said("set", "search", "-", stdin=f"{TERMS}shadows: [{{variant: minilm-l2, sample: 1}}]")
    assert "no order that was compared differed much" in said("disagreements", "search")
    house.scorers.inverted.add("minilm-l2")
    body = {"model": "search", "query": "[sea]", "documents": ["a", "bb", "ccc"]}
    httpx.post(f"{os.environ['RERANK_URL']}/v1/rerank", json=body).raise_for_status()
    lines = [line.split() for line in said("disagreements", "search").splitlines()]
    assert lines[0][:3] == ["[sea]", "tau", "-1.00"]
    assert lines[1:] == [
        ["answered", "minilm-l6"],
        *(["1.", "ccc"], ["2.", "bb"], ["3.", "a"]),
        ["compared", "minilm-l2"],
        *(["1.", "a"], ["2.", "bb"], ["3.", "ccc"]),
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", "other"), "there is no route 'other'; the routes are: search"),
        (("canary", "other", "minilm-l12"), "there is no route 'other'"),
        (("canary", "search", "minilm-l6"), "minilm-l6 is the only lane of search"),
        (("canary", "search", "bge"), "the service has no variant 'bge'"),
        (
            ("canary", "search", "minilm-l12", "--max-error-rate", "2"),
            "--max-error-rate 2: Input should be less than 1",
        ),
        (("canary", "search", "minilm-l12", "--min-agreement", "much"), "--min-agreement much: Input should be"),
        (("promote", "search"), "the route search has no canary"),
        (("abort", "search"), "the route search has no canary"),
        (("remove", "other", "--yes"), "there is no route 'other'"),
        (("disagreements", "other"), "there is no route 'other'"),
        (("set", "search", "nowhere.yaml"), "the route in nowhere.yaml cannot be read"),
    ],
)
def test_what_cannot_be_is_a_sentence(house: LaneHouse, arguments: tuple[str, ...], sentence: str) -> None:
    said("set", "search", "-", stdin=TERMS)
    assert sentence in refused(*arguments)


@pytest.mark.parametrize(
    ("terms", "sentence"),
    [
        ("lanes: [", "cannot be read"),
        ("[]", "the file: "),
        ("lanes: []", "lanes: Tuple should have at least 1 item"),
        ("lanes: [{variant: minilm-l6}]", "lanes.0.weight: Field required"),
        ("lanes: [{variant: minilm-l6, weight: 0}]", "all weights are 0"),
    ],
)
def test_a_wrong_file_is_a_sentence(house: LaneHouse, terms: str, sentence: str) -> None:
    assert sentence in refused("set", "search", "-", stdin=terms)
