"""`loadtest.prediction`: what is said of the answers, and a whole run."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from loadtest.callers import Kept
from loadtest.prediction import Steps, fit_of, prediction
from tests.loadtest.fake_peer import Reply, fake_peer

APP = typer.Typer()
APP.command()(prediction)
MODELS: list[dict[str, Any]] = [{"id": f"a/{name}", "name": name, "figures": None} for name in ("right", "early")]
TOOK_S = 0.02
PREDICTED_MS = {"right": 20.0, "early": 2.0}


def kept(actual_ms: float, predicted_ms: float | None, failure: str | None = None) -> Kept:
    """Sent at 10.5, half a second after it was due."""
    return Kept(10.0, 10.5 + actual_ms / 1000, 5, failure, 10.5, "a/model", predicted_ms)


def answer(_: int, body: dict[str, Any]) -> Reply:
    return Reply(after_s=TOOK_S, headers={"x-rerank-predicted-ms": f"{PREDICTED_MS[body['model']]:.1f}"})


@pytest.mark.parametrize(
    ("pairs", "ratio_p50", "ratio_p90", "off_p90"),
    [
        ([(100, 100)], 1.0, 1.0, 0.0),
        ([(50, 100), (100, 100), (150, 100)], 1.0, 1.5, 0.5),
        ([(10, 100), (20, 100), (100, 100)], 0.2, 1.0, 0.9),  # too long a prediction is off, too
        ([(100, None)], None, None, None),  # of a service that does not predict
        ([(100, 0.0)], None, None, None),
        ([], None, None, None),
    ],
)
def test_a_ratio_is_actual_by_predicted(
    pairs: list[tuple[float, float | None]],
    ratio_p50: float | None,
    ratio_p90: float | None,
    off_p90: float | None,
) -> None:
    fit = fit_of("model", 2, [kept(actual, predicted) for actual, predicted in pairs])
    assert (fit.ratio_p50, fit.ratio_p90, fit.off_p90) == pytest.approx((ratio_p50, ratio_p90, off_p90))


def test_failures_are_counted_and_have_no_ratio() -> None:
    fit = fit_of("model", 2, [kept(100, 100), kept(1, 100, "503")])
    assert (fit.requests, fit.failures) == (2, {"503": 1})
    assert fit.ratio_p50 == pytest.approx(1)
    assert fit.p50_ms == pytest.approx(100)


def test_each_rate_has_its_own_requests() -> None:
    steps = Steps([5, 50], 10, seed=0)
    few, many = (len(list(steps.times(rate))) for rate in steps.rates)
    assert few == pytest.approx(50, abs=30)
    assert many == pytest.approx(500, abs=100)


def test_the_command_prints_and_writes_what_it_measured(tmp_path: Path) -> None:
    with fake_peer(answer, MODELS) as peer:
        options = ["--url", peer.url, "--models", "right,early", "--rates", "10,20", "--seconds", "0.3"]
        result = CliRunner().invoke(APP, [*options, "--json", str(tmp_path / "figures.json")])
    assert result.exit_code == 0, result.output
    fits = json.loads((tmp_path / "figures.json").read_text())["fits"]
    assert [(fit["model"], fit["rate"]) for fit in fits] == [("right", 10), ("right", 20), ("early", 10), ("early", 20)]
    assert sum(fit["requests"] for fit in fits) == len(peer.bodies) - 2  # two warmed up
    assert all(fit["ratio_p50"] >= 1 for fit in fits)
    assert fits[2]["ratio_p50"] >= 10
    assert [line.split()[:2] for line in result.stdout.splitlines()][1:] == [
        [fit["model"], f"{fit['rate']:g}"] for fit in fits
    ]


@pytest.mark.parametrize("rates", ["", "2,,8", "0", "-1", "fast"])
def test_rates_that_are_none_are_refused(rates: str) -> None:
    result = CliRunner().invoke(APP, ["--models", "right", "--rates", rates])
    assert result.exit_code == 2
    assert "--rates" in result.output
