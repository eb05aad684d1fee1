"""`loadtest report`: what is printed, written as JSON and drawn on a page, of runs of every kind."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from loadtest.__main__ import app
from loadtest.grids import flat
from loadtest.page import page_of, render
from loadtest.samples import Replicas, Run, write_run
from loadtest.summary import summary
from loadtest.wording import milliseconds, number, share
from tests.loadtest.runs import LATE, run, sample, spike

SIDES = {
    "spike": spike(),
    "late": spike("ours", 45, LATE),
    "nothing asked": run([], 10.0),
    "no time": run([], 0.0, scenario={}),
    "one answer": run([sample(0.5)]),
    "no limit": run([sample(0.5), sample(0.7, tokens=None, queue_ms=None)], scenario={"name": "bare"}),
    "all failed": run([sample(at, 5, "503") for at in range(10)]),
    "replicas only": run([], replicas=[Replicas(0, "a", 1), Replicas(5, "b", 0)]),
    "many models": run([sample(0)], replicas=[Replicas(0, f"model {place}", 1) for place in range(9)]),
}
EVERY_RUN = pytest.mark.parametrize("made", SIDES.values(), ids=SIDES)
VOID = {"meta", "line", "circle", "path", "br"}
FROM_ELSEWHERE = re.compile(r"(?:https?:)?//(?!127\.0\.0\.1)|@import|url\(|<script|<link|<img|<iframe")


class Elements(HTMLParser):
    """Checks that elements are closed in the order in which they were opened, and keeps what is in them."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: dict[str, list[str]] = {}
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
            self.words.setdefault(tag, [])

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.words[self.open[-1]].append(data.strip())


def printed(made: Run) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        console.print(summary(made))
    return captured.get()


@EVERY_RUN
def test_a_page_is_whole_and_loads_nothing(made: Run) -> None:
    markup = render(page_of(made))
    elements = Elements(markup)
    assert elements.words["h1"] == ["ours"]
    assert {"Latency over time", "Latency by percentile", "Throughput and offered load", "Documents answered"} <= set(
        elements.words["h2"]
    )
    assert ("Replicas" in elements.words["h2"]) == bool(made.replicas)
    assert FROM_ELSEWHERE.search(markup) is None
    assert "nan" not in markup
    assert "None" not in markup


@EVERY_RUN
def test_a_late_generator_is_said_everywhere(made: Run, tmp_path: Path) -> None:
    write_run(made, tmp_path / "a.run.json.gz")
    to, page = tmp_path / "a.json", tmp_path / "deep" / "a.html"
    asked = ["report", str(tmp_path / "a.run.json.gz"), "--json", str(to), "--html", str(page)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    kept = json.loads(to.read_text())
    assert kept["generator"]["late"] is made.generator.late
    for shown in (result.output, page.read_text(), to.read_text()):
        assert ("load generator of ours was late" in shown) is made.generator.late
    assert ("LATE" in result.output) is made.generator.late
    assert (page_of(made).tiles[-1].value == "LATE") is made.generator.late
    assert kept["whole"]["requests"] == len(made.samples)


def test_the_tables_say_what_was_measured() -> None:
    rows = [re.split(r"\s{2,}", line.strip()) for line in printed(spike()).splitlines()]
    by_name = {row[0]: row for row in rows if len(row) > 2}
    assert by_name["rerank-tiny"][2:] == ["1", "1", "2", "2"]
    assert by_name["in time"] == ["in time", "2", "31.0%", "1.20 ms"]
    assert by_name["503"][2].endswith("%")
    assert by_name["after"][-2:] == ["100%", "0"]
    assert any(row[0] == "Recovery after an overload" for row in rows)


def test_few_answers_are_said_to_be_few() -> None:
    assert "Only 1 requests were answered by ours" in printed(run([sample(0)]))
    assert "Nothing was answered by ours" in printed(run([]))
    assert "answered by ours" not in printed(spike())


def test_what_a_run_says_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    made = run(
        [sample(0, failure=evil), sample(1, model=evil)],
        name=evil,
        scenario={"name": evil, "slo_ms": 5, "phases": [{"name": "<b>", "seconds": 10}]},
        replicas=[Replicas(0, evil, 1)],
    )
    markup = render(page_of(made))
    Elements(markup)
    assert "<script" not in markup
    assert "<b>" not in markup


def test_a_page_shows_the_scenario() -> None:
    cells = Elements(render(page_of(spike()))).words["td"]
    assert cells[cells.index("phases.2.name") + 1] == "spike"
    assert cells[cells.index("slo_ms") + 1] == "500"


def test_what_is_deep_has_a_path_and_what_is_empty_is_left_out() -> None:
    told: dict[str, Any] = {"a": {"b": 1, "c": None}, "steps": [{"rate": 2}, 3], "d": [], "e": False}
    assert flat(told) == {"a.b": "1", "steps.1.rate": "2", "steps.2": "3", "e": "False"}


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (number(None), "–"),
        (number(1_234.5), "1,234"),
        (number(12.34), "12.3"),
        (number(1.234), "1.23"),
        (number(3.0), "3"),
        (milliseconds(9_999.0), "9,999 ms"),
        (milliseconds(12_345.0), "12.3 s"),
        (milliseconds(None), "–"),
        (share(1.0), "100%"),
        (share(0.99999), "> 99.9%"),
        (share(0.5), "50.0%"),
        (share(None), "–"),
    ],
)
def test_figures_are_written_with_the_digits_that_count(written: str, words: str) -> None:
    assert written == words


def test_a_file_that_is_no_run_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("nothing")
    result = CliRunner().invoke(app, ["report", str(tmp_path / "a.txt")])
    assert result.exit_code == 1
    assert "is no run of loadtest" in str(result.exception) + result.output
