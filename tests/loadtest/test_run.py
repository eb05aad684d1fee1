import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from loadtest import generator
from loadtest.__main__ import app
from loadtest.samples import read_run
from tests.conftest import ROOT
from tests.loadtest.fake_peer import Reply, fake_peer

MODELS = [{"id": "some/model", "state": {"replicas": 2}}]
SMALL = """
arrivals: {pattern: steps, steps: [{name: calm, rate: 10, seconds: 1}, {name: busy, rate: 40, seconds: 1}]}
workload: {documents: [{documents: 2, share: 1}, {documents: 5, share: 1}], words: 5}
slo_ms: 100
"""


@pytest.fixture
def small(tmp_path: Path) -> str:
    (tmp_path / "small.yaml").write_text(SMALL)
    return str(tmp_path / "small.yaml")


def test_a_run_leaves_a_sample_for_each_request(small: str, tmp_path: Path) -> None:
    out = tmp_path / "made" / "one.run.json.gz"
    told = {"x-rerank-model": "some/model", "Server-Timing": "queue;dur=1.5"}
    with fake_peer(lambda number, _: Reply(503 if number % 7 == 6 else 200, headers=told), MODELS) as peer:
        done = subprocess.run(
            [sys.executable, "-m", "loadtest", "run", small, "--url", peer.url, "--out", str(out), "--processes", "2"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            env={**os.environ, "COLUMNS": "200"},
            check=False,
        )
    run = read_run(out)
    assert done.returncode == int(run.generator.late), done.stderr
    assert len(run.samples) + 3 == len(peer.bodies), "the warm-up is not counted"
    assert {len(body["documents"]) for body in peer.bodies} == {2, 5}
    assert {sample.failure for sample in run.samples} == {None, "503"}
    assert {(sample.model, sample.queue_ms) for sample in run.samples} == {("some/model", 1.5)}
    assert (run.name, run.url, run.seconds, run.generator.processes) == (peer.url[7:], peer.url, 2.0, 2)
    assert [phase["name"] for phase in run.scenario["phases"]] == ["calm", "busy"]
    assert (run.scenario["name"], run.scenario["slo_ms"]) == ("small", 100)
    assert {each.running for each in run.replicas} == {2}
    failed = sum(sample.failure is not None for sample in run.samples)
    assert f"{len(run.samples)} requests in 2 s, {failed} failed, p50 " in done.stdout


def test_a_run_whose_generator_was_late_is_kept_and_says_so(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "LATE_MS", -1.0)
    out = tmp_path / "late.run.json.gz"
    with fake_peer(lambda *_: Reply()) as peer:
        done = CliRunner().invoke(app, ["run", small, "--url", peer.url, "--out", str(out), "--seconds", "0.5"])
    assert read_run(out).generator.late
    assert done.exit_code == 1
    assert "the load generator was late: p99" in str(done.exception) + done.output


def test_a_file_is_named_by_scenario_and_name(small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with fake_peer(lambda *_: Reply()) as peer:
        CliRunner().invoke(app, ["run", small, "--url", peer.url, "--name", "a/b c", "--seconds", "0.5"])
    assert read_run(tmp_path / "small-a-b-c.run.json.gz").name == "a/b c"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no-such"], "there is no scenario no-such; there are autoscale, "),
        (["overload"], "tell it by --rate"),
        (["steady", "--dialect", "klingon"], "there is no dialect klingon; there are native, tei, "),
        (["steady", "--url", "http://127.0.0.1:1"], "a first request to http://127.0.0.1:1/v1/rerank failed"),
    ],
)
def test_what_cannot_be_run_ends_with_a_sentence(arguments: list[str], sentence: str) -> None:
    done = CliRunner().invoke(app, ["run", *arguments])
    assert done.exit_code == 1
    assert sentence in str(done.exception) + done.output
