"""`loadtest saturation`: a search against a queue in virtual time as it is shown, and against a service on a socket."""

import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from loadtest import generator
from loadtest.__main__ import app
from loadtest.bisection import Plan, Saturation
from loadtest.samples import Run
from loadtest.saturation import sentence, tried, tries_grid
from loadtest.summary import shown_grid
from tests.loadtest.fake_peer import Reply, fake_peer
from tests.loadtest.runs import run, sample

PLAN = Plan(slo_ms=500, low=1, high=16, resolution=2.5, repeats=2, seconds=10, requests=20, seed=0)
SMALL = "{arrivals: {pattern: constant, rate: 5}, workload: {documents: 2, words: 5}, seconds: 1, slo_ms: 1000}"
QUICK = ["--seconds", "2", "--requests", "8", "--repeats", "1", "--resolution", "3", "--from", "4", "--to", "60"]


@pytest.fixture
def small(tmp_path: Path) -> str:
    (tmp_path / "small.yaml").write_text(SMALL)
    return str(tmp_path / "small.yaml")


def probe(rate: float, seconds: float, seed: int) -> Run:
    """Holds what is at most 6 requests a second."""
    return run([sample(0, 80.0 if rate <= 6 else 700.0), sample(1, 80)], seconds)


def test_each_try_is_shown_when_it_is_over_and_in_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    tries = tried(probe, PLAN)
    assert [(each.repeat, each.rate, each.held) for each in tries] == [
        (1, 4, True),
        (2, 4, True),
        (1, 8, False),
        (2, 8, False),
    ]
    first, *_ = capsys.readouterr().err.splitlines()
    assert first.startswith("repeat 1, requests/s 4, seconds 10, requests 2, p99 80")
    console = Console(width=100)
    with console.capture() as captured:
        console.print(shown_grid(tries_grid(tries)))
    rows = [line.split() for line in captured.get().splitlines()]
    assert rows[1] == ["1", "4", "10", "2", *rows[1][4:6], "0", "yes"]
    assert rows[3][-2:] == ["0", "no"]


def test_the_result_is_a_sentence() -> None:
    said = sentence(Saturation(12.34, 10.5, 14.01), PLAN)
    assert said == (
        "Holds 12.3 requests/s with a p99 within 500 ms and no failure; 95 % confidence interval 10.5 to 14.0, "
        "of 2 repeats."
    )


def test_a_service_is_searched_over_http(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "LATE_MS", 60_000.0)  # a busy machine ends no search here
    monkeypatch.setattr(generator, "BUSY", 9.0)
    to = tmp_path / "found.json"
    with fake_peer(lambda *_: Reply(after_s=0.1)) as peer:
        done = CliRunner().invoke(app, ["saturation", small, "--url", peer.url, *QUICK, "--json", str(to)])
    assert done.exit_code == 0, done.output
    kept = json.loads(to.read_text())
    # 15.5 a second for two seconds are 3.1 s of work; 7.9 are in time unless this machine is very busy.
    assert [each["held"] for each in kept["tries"][:1]] == [False]
    assert kept["tries"][0]["rate"] == pytest.approx(15.5, abs=0.1)
    assert round(kept["result"]["rate"], 1) in {4.0, 7.9}
    assert kept["asked"]["slo_ms"] == 1_000
    assert {each["seconds"] for each in kept["tries"]} == {2.0}
    assert {len(body["documents"]) for body in peer.bodies} == {2}
    assert "of 1 repeats" in done.output


def test_a_rate_that_holds_everywhere_names_the_way_out(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "LATE_MS", 60_000.0)
    monkeypatch.setattr(generator, "BUSY", 9.0)
    quick = [*QUICK, "--slo", "60000", "--seconds", "0.2", "--requests", "4"]
    with fake_peer(lambda *_: Reply()) as peer:
        done = CliRunner().invoke(app, ["saturation", small, "--url", peer.url, *quick])
    assert done.exit_code == 1
    assert "holds 60 requests/s: search to a higher rate" in str(done.exception) + done.output


def test_a_late_generator_is_no_result(small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generator, "LATE_MS", -1.0)
    with fake_peer(lambda *_: Reply()) as peer:
        done = CliRunner().invoke(app, ["saturation", small, "--url", peer.url, *QUICK])
    assert done.exit_code == 1
    assert "which says nothing of the service: The load generator" in str(done.exception) + done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no-such"], "there is no scenario no-such"),
        (["burst"], "arrivals of burst are burst: a highest rate is searched with"),
        (["steady", "--dialect", "klingon"], "there is no dialect klingon"),
        (["steady", "--from", "5", "--to", "5"], "--from 5 has to be below --to 5"),
    ],
)
def test_mistakes_are_named(arguments: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["saturation", *arguments])
    assert done.exit_code == 1
    assert said in str(done.exception) + done.output
