import json
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from loadtest.share import Measured, docs_per_s_in, run_bench
from serve_app.scorer import bench
from tests.conftest import ROOT
from tests.loadtest.fake_peer import Reply, fake_peer

FAKE_BENCH = """
import json, sys
from pathlib import Path
calls = Path(__file__).with_suffix(".calls")
run = Path(sys.argv[sys.argv.index("--run") + 1]).read_text().splitlines()
with calls.open("a") as lines:
    print(json.dumps({"arguments": sys.argv[1:], "run": [json.loads(line) for line in run]}), file=lines)
print("model        weights  NDCG@10   V100  docs/s  s-t  ratio  of peak  dtype")
print(f"rerank-tiny  real           –  9,000   {len(calls.read_text().splitlines())},000    –      –      10%  bf16")
"""
"""Prints a thousand documents/s more each time, and notes what it was given."""


def test_the_share_is_that_of_the_medians() -> None:
    assert Measured(engine=[100, 1_000, 110], http=[5, 99, 400], failures={}).share == 99 / 110


def test_docs_per_s_is_read_from_the_table_that_rerank_bench_prints() -> None:
    table = bench._table()
    table.add_row("rerank-tiny", "real", "0.6154", "9,000", "1,234", "567", "2.18", "31%", "bf16")
    console = Console(width=200)
    with console.capture() as printed:
        console.print(table)
    assert docs_per_s_in(printed.get()) == 1234


def test_a_bench_that_fails_ends_the_program_with_its_words() -> None:
    with pytest.raises(SystemExit, match="no such model"):
        run_bench([sys.executable, "-c", "import sys; sys.exit('no such model')"])
    with pytest.raises(SystemExit, match="no column docs/s"):
        run_bench([sys.executable, "-c", "print('nothing of the kind')"])


def test_the_engine_and_the_service_take_turns_over_the_same_texts(tmp_path: Path) -> None:
    script = tmp_path / "fake_bench.py"
    script.write_text(FAKE_BENCH)
    figures = tmp_path / "figures.json"
    options = ["--documents", "5", "--requests", "3", "--streams", "2", "--seconds", "0.2", "--rounds", "3"]
    with fake_peer(lambda number, _: Reply(503 if number == 10 else 200, after_s=0.002)) as peer:
        command = [sys.executable, "-m", "loadtest.share", "--url", peer.url, "--json", str(figures), *options]
        command += ["--", sys.executable, str(script)]
        printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    calls = [json.loads(line) for line in script.with_suffix(".calls").read_text().splitlines()]
    assert len(calls) == 3
    assert all(call["arguments"][0] == "rerank-tiny" and "15" in call["arguments"] for call in calls)
    engine = [(line["query"], [c["text"] for c in line["candidates"]]) for line in calls[0]["run"]]
    http = [(body["query"], [text[:-6] + "000000" for text in body["documents"]]) for body in peer.bodies]
    assert len(engine) == 3
    stamps = [{text[-6:] for text in body["documents"]} for body in peer.bodies]
    assert len(set().union(*stamps)) == len(stamps)  # no document is sent twice
    assert http[0] == engine[0]  # the one that warms up, then whole passes
    assert sorted(http[1:]) == sorted(engine * ((len(http) - 1) // 3))
    written = json.loads(figures.read_text())
    assert written["engine"] == [1000, 2000, 3000]
    assert written["failures"] == {"503": 1}
    assert f"{written['share']:.1%}" in printed
