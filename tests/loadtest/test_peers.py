import re
import sys
import time
from pathlib import Path

import psutil
import pytest
from typer import Typer
from typer.testing import CliRunner

from loadtest.peers import server as servers
from loadtest.peers import tables
from loadtest.peers.__main__ import peers as command
from loadtest.peers.comparison import Plan, compare, saturation
from loadtest.peers.generator import Scenario
from loadtest.peers.mixed import mixed
from loadtest.peers.peer import PEERS, ROOT, Peer, chosen
from loadtest.peers.server import PeerFailed, Server, Weights, started
from loadtest.questions import Question
from loadtest.samples import Run
from loadtest.service import write_bodies
from tests.loadtest.peer_stand_ins import Stub, field_of, run_of, sample, stand_in

QUESTIONS = [Question(f"query {number}", [f"document {place}" for place in range(10)]) for number in range(3)]
PLAN = Plan(write_bodies(QUESTIONS, "a-model"), 10, seconds=0.4, rounds=2, rate=None)


def test_everybody_is_measured_in_every_round_and_who_is_first_turns(tmp_path: Path) -> None:
    said: list[str] = []
    everybody = field_of([stand_in("a", ours=True), stand_in("b", "0.002"), stand_in("c")], tmp_path, said)
    stub = Stub(0.1)
    compared = compare(everybody, PLAN, stub)
    assert said == [
        *("capacity: a", "capacity: b", "capacity: c"),
        *("round 1 of 2: b", "round 1 of 2: c", "round 1 of 2: a"),
        *("round 2 of 2: c", "round 2 of 2: a", "round 2 of 2: b"),
    ]
    assert list(compared.standings) == ["a", "b", "c"]
    for standing in compared.standings.values():
        assert {streams: len(values) for streams, values in standing.closed.items()} == {1: 2, 4: 2}
        assert (standing.asked, standing.failed) == (20, 0)
        assert standing.latency_ms(99) == pytest.approx(100)
        assert standing.peak_bytes > 2**20
    steady = [rate for _, scenario, rate in stub.asked if scenario["arrivals"]["pattern"] == "poisson"]
    assert steady == [compared.rate] * 6
    slow, fast = (max(compared.standings[name].best) for name in "bc")
    assert slow < 500 < fast
    # Of what the slowest did when it was looked at, which was about what it did afterwards.
    assert 0.1 * slow / 10 < compared.rate < 1.2 * slow / 10


def test_the_rate_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    stub = Stub(0.1)
    plan = Plan(PLAN.bodies, 10, 0.2, 1, rate=7.0)
    assert compare(field_of([stand_in("a")], tmp_path, []), plan, stub).rate == 7
    steady, climb = stub.asked
    assert (steady[2], steady[1]["seconds"], steady[1]["workload"]) == (7, 0.2, {"documents": 10})
    assert climb[1]["of_capacity"] is True


def test_who_does_not_start_is_left_out_with_its_last_words(tmp_path: Path) -> None:
    said: list[str] = []
    everybody = field_of([stand_in("a"), stand_in("b", "break")], tmp_path, said)
    assert list(compare(everybody, Plan(PLAN.bodies, 10, 0.2, 1, None), Stub(0.1)).standings) == ["a"]
    assert everybody.failed["b"] == "b ended by itself (1):\nstarting\nthe model has no weights"
    assert not [line for line in said if line.startswith("round") and line.endswith(": b")]


def test_who_ends_while_it_is_measured_is_left_out_with_its_last_words(tmp_path: Path) -> None:
    everybody = field_of([stand_in("a", "crash")], tmp_path, [])
    assert compare(everybody, PLAN, Stub(0.1)).standings == {}
    assert everybody.failed == {"a": "a ended by itself (3):\nout of memory"}


def test_who_never_answers_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "START_WITHIN_S", 0.5)
    with pytest.raises(PeerFailed, match=r"a does not rank after 0\.5 s\. It said last:"):
        _start_and_stop(stand_in("a", "30"), tmp_path)


def _start_and_stop(peer: Peer, logs: Path) -> Server:
    with started(peer, Path(sys.executable).parent, Weights(logs, "m"), logs) as server:
        server.bytes_now()
        time.sleep(0.05)
    return server


def test_a_server_is_gone_with_its_children_when_it_is_stopped(tmp_path: Path) -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, *sys.argv[1:]])"
    peer = stand_in("a")
    parent = Peer("a", "", "floats", "", (), ("{bin}/python", "-c", script, *peer.command[1:]))
    with started(parent, Path(sys.executable).parent, Weights(tmp_path, "m"), tmp_path) as server:
        (child,) = psutil.Process(server.process.pid).children()
        both = server.bytes_now()
        assert both > child.memory_full_info().pss > 0
    assert server.peak_bytes >= both
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running()


def test_a_rate_is_held_only_if_all_lower_ones_are(tmp_path: Path) -> None:
    def measure(slow: str, failing: str = "") -> float:
        def load(server: Server, scenario: Scenario, rate: float) -> Run:
            run = Stub(0.1)(server, scenario, rate)
            samples, began = [], 0.0
            for stage in scenario["arrivals"]["steps"]:
                took = 0.6 if stage["name"] == slow else 0.4
                samples.append(sample(began, took, "429" if stage["name"] == failing else None))
                began += stage["seconds"]
            return run_of(run.name, scenario, samples)

        return saturation(Server(stand_in("a"), "m", "", None, tmp_path), PLAN, 10.0, load)  # type: ignore[arg-type]

    assert measure("none") == 10
    assert measure("90%") == pytest.approx(8)
    assert measure("60%") == pytest.approx(4)
    assert measure("none", failing="80%") == pytest.approx(6)
    assert measure("20%") == 0


def test_small_requests_wait_for_large_ones(tmp_path: Path) -> None:
    questions = [Question("q", ["d"] * 1_000)]
    found = mixed(field_of([stand_in("a", "0.0005")], tmp_path, []), questions, 1.0)["a"]
    assert found.alone.large == 0
    assert found.beside.large >= 2
    assert found.alone.p50_ms is not None
    assert found.beside.p99_ms is not None
    assert found.beside.p99_ms > 300 > found.alone.p50_ms


def test_the_table_compares_within_floats_and_within_int8(tmp_path: Path) -> None:
    peers = [
        stand_in("ours", ours=True),
        stand_in("slow", "0.002"),
        stand_in("ours-int8", numbers="int8", ours=True),
        stand_in("int8", "0.001", "int8"),
    ]
    plan = Plan(PLAN.bodies, 10, 0.2, 1, None)
    compared = compare(field_of(peers, tmp_path, []), plan, Stub(0.25))
    floats, int8 = tables.compared_table(peers, compared, plan).split("**int8**")
    for part, (first, second) in ((floats, ("ours", "slow")), (int8, ("ours-int8", "int8"))):
        rows = {cells[0]: cells for line in part.splitlines() if (cells := re.findall(r"[^|]+", line.replace(" ", "")))}
        assert rows[first][3] == "1.00"
        assert 0 < float(rows[second][3]) < 1
        assert rows[second][5:9] == ["250", "250", "250", "10"]
    assert "slow" not in int8


def test_all_peers_name_their_settings_and_have_pins() -> None:
    assert [peer.name for peer in chosen(["infinity", "ours"])] == ["ours", "infinity"]
    with pytest.raises(LookupError, match="no peer is named nobody: there are infinity, "):
        chosen(["nobody"])
    for peer in PEERS:
        pinned = ROOT / "loadtest" / "peers" / "constraints" / f"{peer.name}.txt"
        assert pinned.exists() != peer.ours
        assert all("==" in package for package in peer.packages)
        started_with = peer.started_with(Path("/programs"), Path("/models/a"), "minilm-l6", 80)
        assert started_with[0].startswith("/programs/")
        assert {"80", "/models/a" if not peer.ours else "/models"} < set(started_with)
    assert all(peer.name in tables.settings_table(PEERS) for peer in PEERS)


def test_weights_that_are_none_are_refused(tmp_path: Path) -> None:
    app = Typer()
    app.command()(command)
    result = CliRunner().invoke(app, ["--weights", str(tmp_path)])
    assert "is no model's folder: it has no config.json" in str(result.exception) + result.output
