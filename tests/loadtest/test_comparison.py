"""`loadtest compare`: ratios to the first run, and runs that cannot be compared."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from loadtest.__main__ import app
from loadtest.comparison import beside, compared, differences, labelled
from loadtest.figures import figures
from loadtest.page import render
from loadtest.samples import Run, write_run
from tests.loadtest.runs import LATE, run, sample, spike

STEADY = {"name": "steady", "slo_ms": 500, "arrivals": {"rate": 10}, "processes": 1}
FIRST = run([sample(at / 10, 100) for at in range(100)], scenario=STEADY, name="one")
SECOND = run([sample(at / 10, 250 if at % 10 else 800) for at in range(100)], scenario=STEADY, name="two")
THIRD = run([sample(at / 10, 5, "503") for at in range(100)], scenario=STEADY, name="three")


def rows(*runs: Run) -> dict[str, list[str]]:
    return {row[0]: list(row[1:]) for row in beside([figures(each) for each in runs]).rows}


def test_each_figure_stands_beside_its_ratio_to_the_first() -> None:
    told = rows(FIRST, SECOND)
    assert told["p50"] == ["100 ms", "250 ms", "× 2.50"]
    assert told["p99"] == ["100 ms", "800 ms", "× 8.00"]
    assert told["good"] == ["100%", "90.0%", "× 0.90"]
    assert told["good requests/s"] == ["10", "9", "× 0.90"]
    assert told["requests/s"] == ["9.90", "9.80", "× 0.99"]  # what came after the end is left out
    assert told["failed"] == ["0", "0", "–"]


def test_what_was_not_measured_has_no_ratio() -> None:
    told = rows(FIRST, THIRD, SECOND)
    assert told["p99"] == ["100 ms", "–", "–", "800 ms", "× 8.00"]
    assert told["tokens/s"] == ["4,950", "–", "–", "4,900", "× 0.99"]
    assert told["failed"] == ["0", "100", "–", "0", "–"]
    assert rows(THIRD, FIRST)["p50"] == ["–", "100 ms", "–"]
    assert rows(THIRD, FIRST)["failed"] == ["100", "0", "× 0.00"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, None),
        ({"processes": 4}, None),
        ({"slo_ms": 900}, "slo_ms is 900, not 500"),
        ({"arrivals": {"rate": 12}}, "arrivals.rate is 12, not 10"),
        ({"seed": 3}, "seed is 3, not set"),
        ({"slo_ms": None}, "slo_ms is not set, not 500"),
    ],
)
def test_another_scenario_is_said_to_be_one(changed: dict[str, Any], said: str | None) -> None:
    other = run([], scenario={**STEADY, **changed}, name="other")
    found = differences([FIRST, other])
    assert len(found) == (said is not None)
    assert all(f"other ran another scenario than one: {said}. " in words for words in found)


def test_runs_of_the_same_name_are_told_apart() -> None:
    assert [each.name for each in labelled([FIRST, SECOND, FIRST])] == ["one (1)", "two", "one (3)"]


def test_a_page_compares_what_is_said_and_drawn() -> None:
    page = compared([spike(), spike("theirs", 45, LATE)])
    assert page.title == "theirs against ours"
    assert [chart.title for chart in page.charts] == ["Latency by percentile", "Throughput"]
    assert [[series.name for series in chart.series] for chart in page.charts] == [["ours", "theirs"]] * 2
    assert "The load generator of theirs was late" in render(page)


def test_the_command_prints_and_writes_a_page(tmp_path: Path) -> None:
    paths = [tmp_path / f"{each.name}.run.json.gz" for each in (FIRST, SECOND)]
    for path, each in zip(paths, (FIRST, run([], scenario={"name": "burst"}, generator=LATE)), strict=True):
        write_run(each, path)
    result = CliRunner().invoke(app, ["compare", *map(str, paths), "--html", str(tmp_path / "c.html")])
    assert result.exit_code == 0, result.output
    for shown in (" ".join(result.output.split()), (tmp_path / "c.html").read_text()):
        assert "ours ran another scenario than one: name is burst, not steady" in shown
        assert "The load generator of ours was late" in shown
    assert "p99.9" in result.output


def test_one_run_alone_is_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compare", str(tmp_path / "a.run.json.gz")])
    assert result.exit_code == 1
