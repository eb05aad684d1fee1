"""The story of `loadtest.traffic`: which changes are made, and what an act says of the answers in it."""

import pytest
from rich.console import Console

from loadtest.acts import Act, Lane, Story, changes, table
from loadtest.callers import Kept

STORY = Story("old", "new", ["bad"], hold_s=10.0, percent=20.0)


class WrittenDown:
    """An operator who writes down what it would do."""

    def __init__(self) -> None:
        self.made: list[object] = []

    async def put(self, *lanes: Lane) -> None:
        self.made.append({lane["variant"]: lane["weight"] for lane in lanes})

    async def undo(self) -> None:
        self.made.append("undo")


def _answer(asked: float, model: str, failure: str | None = None, took: float = 0.05) -> Kept:
    return Kept(asked, asked + took, 10, failure, asked, model)


@pytest.mark.anyio
async def test_the_story() -> None:
    operator = WrittenDown()
    told = []
    for change in changes(operator, STORY):
        await change.make()
        told.append((change.name, operator.made[-1], sorted(change.gone), change.canary))
    assert told == [
        ("baseline alone", {"old": 100}, ["bad", "new"], None),
        ("canary at 5 %", {"old": 95, "new": 5}, [], None),
        ("canary at 25 %", {"old": 75, "new": 25}, [], None),
        ("canary at 50 %", {"old": 50, "new": 50}, [], None),
        ("promoted", {"new": 100}, ["old"], None),
        ("bad: bad", {"new": 80, "bad": 20}, ["old"], "bad"),
        ("back to the baseline", {"old": 100}, ["bad", "new"], None),
        ("undone", "undo", ["old"], None),
    ]


def test_an_act_has_the_answers_that_were_asked_for_in_it() -> None:
    act = Act("promoted", began=100.0, seconds=10.0)
    answers = [
        _answer(99.9, "a/old"),
        _answer(100.1, "a/old"),
        _answer(100.4, "a/old"),
        _answer(101.0, "a/new", took=0.2),
        _answer(102.0, "", "503"),
        _answer(109.9, "a/new"),
        _answer(110.1, "a/old"),
    ]
    act.see(answers, {"a/old"})
    assert (act.requests, act.failures, act.models) == (5, {"503": 1}, {"a/old": 2, "a/new": 2})
    assert act.settled_after_s == pytest.approx(0.4)
    assert act.p50_ms == pytest.approx(50)
    assert act.p99_ms == pytest.approx(200)
    act.see(answers[3:5], {"a/old"})
    assert act.settled_after_s is None


def test_the_table_says_it() -> None:
    act = Act("bad: slow", 0.0, 31.5, 30.46, 0.04, 200, {"503": 2}, {"a/new": 150, "a/slow": 50}, 75.4, 656.2)
    console = Console(width=160)
    with console.capture() as captured:
        console.print(table([act]))
    row = captured.get().splitlines()[1].split()
    assert row == [
        "bad:",
        "slow",
        "32",
        "200",
        "2",
        "x",
        "503",
        "75",
        "656",
        "30.5",
        "0.0",
        "new",
        "150,",
        "slow",
        "50",
    ]
