import asyncio
import json
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from loadtest.fairness import Load, measure, observe
from loadtest.loops import arrivals
from loadtest.phases import Phase
from loadtest.questions import make_up_questions, sized
from loadtest.service import connect, write_bodies
from tests.conftest import ROOT
from tests.loadtest.fake_peer import FakePeer, Reply, fake_peer

LARGE = 20


def load(rate: float = 40.0, streams: int = 2, seconds: float = 0.5) -> Load:
    questions = make_up_questions()
    return Load(
        write_bodies(sized(questions, 1), "any"),
        write_bodies(sized(questions, LARGE), "any"),
        rate,
        streams,
        seconds,
        seed=0,
    )


def is_large(body: dict[str, Any]) -> bool:
    return len(body["documents"]) == LARGE


def asked(peer: FakePeer) -> tuple[int, int]:
    """Small and large requests that came, less those that warmed up."""
    large = sum(is_large(body) for body in peer.bodies)
    return len(peer.bodies) - large - 1, large - 1


async def mixed(url: str, given: Load) -> Phase:
    async with connect(url) as service:
        return await observe(service, given, "mixed", small=True, large=True)


def test_the_figures_are_those_of_the_answers() -> None:
    with fake_peer(lambda _, body: Reply(after_s=0.02 if is_large(body) else 0.001)) as peer:
        small, large, both = phases = asyncio.run(measure(peer.url, load()))
    assert [phase.phase for phase in phases] == ["small", "large", "mixed"]
    assert (small.large, large.small) == (0, 0)
    assert (small.small + both.small, large.large + both.large) == asked(peer)
    assert large.p99_ms is None
    assert large.docs_per_s * large.seconds == pytest.approx(large.large * LARGE)
    assert both.large * LARGE - 0.01 < both.docs_per_s * both.seconds < both.large * LARGE + both.small + 0.01
    assert all(phase.failures == {} for phase in phases)


def test_small_requests_keep_coming_until_the_last_large_one_is_answered_and_wait_behind_it() -> None:
    given = load(rate=50, streams=1, seconds=0.05)
    with fake_peer(lambda _, body: Reply(after_s=0.5 if is_large(body) else 0.0)) as peer:
        phase = asyncio.run(mixed(peer.url, given))
    assert phase.large == 1
    assert phase.small >= sum(1 for _ in takewhile(lambda at: at < 0.5, arrivals(50, seed=0)))
    assert phase.p99_ms is not None
    assert phase.p99_ms > 200


def test_what_a_service_refuses_is_counted_and_has_no_latency() -> None:
    with fake_peer(lambda _, body: Reply(429) if is_large(body) else Reply()) as peer:
        phase = asyncio.run(mixed(peer.url, load(seconds=0.3)))
    assert phase.failures == {"429": phase.large}
    assert phase.docs_per_s * phase.seconds <= phase.small + 0.01


def test_the_command_prints_and_writes_what_it_measured(tmp_path: Path) -> None:
    options = ["--seconds", "0.3", "--small", "1", "--large", str(LARGE), "--json", str(tmp_path / "figures.json")]
    with fake_peer(lambda *_: Reply(after_s=0.002)) as peer:
        command = [sys.executable, "-m", "loadtest.fairness", "--url", peer.url, "--model", "tiny", *options]
        printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert {body["model"] for body in peer.bodies} == {"tiny"}
    written = json.loads((tmp_path / "figures.json").read_text())
    small, large, both = written["phases"]
    assert written["ratios"]["p99"] == both["p99_ms"] / small["p99_ms"]
    assert written["ratios"]["docs_per_s"] == both["docs_per_s"] / large["docs_per_s"]
    assert f"{written['ratios']['p99']:.2f}" in printed
    assert f"{written['ratios']['docs_per_s']:.2f}" in printed
