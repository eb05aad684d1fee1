"""`loadtest.budget`: when the requests of a ramp are due, what is said of the answers, and a whole run."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from loadtest.budget import AUTO, Climb, budget, measure
from loadtest.callers import Kept
from loadtest.listing import Listing
from loadtest.loops import ramp
from loadtest.questions import Question
from loadtest.ramps import ramp_of, table
from loadtest.service import write_bodies
from tests.loadtest.fake_peer import Reply, fake_peer

APP = typer.Typer()
APP.command()(budget)
LISTING = Listing({"a/big": "big", "b/small": "small", "both": "both"}, {"a/big": 74.0, "b/small": 60.0})
MODELS: list[dict[str, Any]] = [
    {"id": "a/big", "name": "big", "figures": {"ndcg10": 74.0}},
    {"id": "b/small", "name": "small", "figures": {"ndcg10": 60.0}},
    {"id": "both", "name": "both", "figures": None},
]
IDS = {"big": "a/big", "small": "b/small", AUTO: "b/small"}


def kept(
    took: float, model: str = "", failure: str | None = None, *, late: float = 0.0, degraded: bool = False
) -> Kept:
    """Due at 10, sent so much later; `took` from when it was due."""
    return Kept(10.0, 10.0 + took, 5, failure, 10.0 + late, model, 100.0, degraded)


def answer(_: int, body: dict[str, Any]) -> Reply:
    degraded = {"x-rerank-degraded": "true"} if body["model"] == AUTO else {}
    return Reply(headers={"x-rerank-model": IDS[body["model"]], **degraded})


@pytest.mark.parametrize(
    ("from_rate", "to_rate", "first_half", "second_half"),
    [(0, 40, 1_000, 3_000), (40, 0, 3_000, 1_000), (20, 20, 2_000, 2_000), (10, 30, 1_500, 2_500)],
)
def test_requests_come_as_often_as_the_ramp_says(
    from_rate: float, to_rate: float, first_half: int, second_half: int
) -> None:
    times = list(ramp(from_rate, to_rate, 200, seed=1))
    early = sum(at < 100 for at in times)
    assert early == pytest.approx(first_half, abs=4 * first_half**0.5)  # four standard deviations of a Poisson count
    assert len(times) - early == pytest.approx(second_half, abs=4 * second_half**0.5)
    assert times == sorted(times)
    assert max(times) < 200


def test_the_same_seed_gives_the_same_times() -> None:
    assert list(ramp(1, 20, 30, seed=3)) == list(ramp(1, 20, 30, seed=3))
    assert list(ramp(1, 20, 30, seed=3)) != list(ramp(1, 20, 30, seed=4))


def test_what_is_said_of_a_ramp() -> None:
    answers = [
        kept(0.1, "a/big"),
        kept(0.3, "a/big", late=0.2),
        kept(0.2, "b/small", degraded=True),
        kept(0.9, "both"),
        kept(0.01, failure="429"),
    ]
    shown = ramp_of(AUTO, answers, LISTING, max_latency_ms=250)
    assert (shown.requests, shown.failures, shown.without_figure) == (5, {"429": 1}, 1)
    assert shown.in_time == pytest.approx(2 / 5)  # neither what was refused at once, nor what was sent late
    assert shown.p50_ms == pytest.approx(200)
    assert shown.p99_ms == pytest.approx(900)
    assert shown.models == {"big": 0.5, "small": 0.25, "both": 0.25}
    assert shown.ndcg10 == pytest.approx((74 + 74 + 60) / 3)
    assert shown.degraded == pytest.approx(1 / 4)


@pytest.mark.parametrize("answers", [[], [kept(0.01, failure="503")]])
def test_where_nothing_was_answered_there_is_no_figure(answers: list[Kept]) -> None:
    shown = ramp_of("big", answers, LISTING, max_latency_ms=250)
    assert (shown.p50_ms, shown.p99_ms, shown.ndcg10, shown.degraded, shown.models) == (None, None, None, None, {})
    assert shown.in_time == (0 if answers else None)


@pytest.mark.parametrize(("model", "said"), [("both", True), ("a/big", False)])
def test_the_table_says_what_the_mean_leaves_out(model: str, said: bool) -> None:
    console = Console(width=160)
    with console.capture() as captured:
        console.print(table([ramp_of(AUTO, [kept(0.1, model)], LISTING, max_latency_ms=250)]))
    assert ("1 answers of models without a published figure" in captured.get()) is said


def test_each_ramp_asks_the_same_of_another_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.budget.REST_S", 0.0)
    questions = [Question(f"q{number}", ["one", "two"]) for number in range(3)]
    bodies = {AUTO: write_bodies(questions, AUTO, max_latency_ms=250)}
    bodies |= {name: write_bodies(questions, name) for name in ("small", "big")}
    with fake_peer(answer, MODELS) as peer:
        ramps = asyncio.run(measure(peer.url, None, bodies, Climb(10, 60, 0.3, 0, 250)))
    asked, requests = peer.bodies[3:], ramps[0].requests  # three warmed up
    assert [each.model for each in ramps] == [AUTO, "small", "big"]
    assert [each.requests for each in ramps] == [requests] * 3
    assert [body["model"] for body in asked] == [AUTO] * requests + ["small"] * requests + ["big"] * requests
    assert [body.get("max_latency_ms") for body in asked] == [250] * requests + [None] * 2 * requests
    assert [(each.ndcg10, each.degraded) for each in ramps] == [(60, 1), (60, 0), (74, 0)]
    documents = [document for body in peer.bodies for document in body["documents"]]
    assert len(set(documents)) == len(documents)  # stamped: a service that keeps tokens never sees one twice


def test_the_command_prints_and_writes_what_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtest.budget.REST_S", 0.0)
    rates = ["--from-rate", "20", "--to-rate", "40", "--seconds", "0.3", "--documents", "2"]
    with fake_peer(answer, MODELS) as peer:
        options = ["--url", peer.url, "--models", "big", *rates, "--json", str(tmp_path / "figures.json")]
        result = CliRunner().invoke(APP, options)
    assert result.exit_code == 0, result.output
    written = json.loads((tmp_path / "figures.json").read_text())
    auto, big = written["ramps"]
    assert (auto["models"], big["models"]) == ({"small": 1.0}, {"big": 1.0})
    assert written["asked"]["max_latency_ms"] == 300
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["model", "auto", "big"]
    assert f" {auto['p99_ms']:,.0f} " in result.stdout


def test_a_model_that_is_not_listed_ends_the_run_before_it_begins() -> None:
    with fake_peer(answer, MODELS) as peer:
        result = CliRunner().invoke(APP, ["--url", peer.url, "--models", "small,none"])
    assert (result.exit_code, peer.bodies) == (1, [])
    assert "no model none; it lists big, small, both" in result.output
