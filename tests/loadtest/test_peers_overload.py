from pathlib import Path

import pytest

from loadtest.peers import tables
from loadtest.peers.comparison import Plan
from loadtest.peers.generator import Scenario, due_in, stage, steps
from loadtest.peers.overload import judged, overload, recovered_s
from loadtest.peers.server import Server
from loadtest.questions import Question
from loadtest.samples import Run, Sample
from loadtest.service import write_bodies
from tests.loadtest.peer_stand_ins import field_of, run_of, sample, stand_in

STAGES = [("before", 0.3, 30.0), ("overload", 3.0, 20.0), ("after", 0.3, 60.0)]
SCENARIO = steps(STAGES, 100, 15, 15_000)
BEFORE = [sample(at, 0.5) for at in range(30)]


def run(*later: Sample) -> Run:
    """An overload whose light requests took half a second before it."""
    return run_of("a", SCENARIO, [*BEFORE, *later])


def test_a_stage_has_the_requests_that_were_due_in_it() -> None:
    overloaded = run(sample(30.0, 30.0), sample(49.9, 0.1), sample(50.0, 0.1))
    assert stage(overloaded, "overload") == (30.0, 50.0)
    assert [each.due for each in due_in(overloaded, "overload")] == [30.0, 49.9]
    with pytest.raises(LookupError, match="no stage named peak"):
        stage(overloaded, "peak")


def test_an_overload_is_judged_by_what_was_answered() -> None:
    heavy = [
        *(sample(30 + at, 1.0) for at in range(10)),
        *(sample(40 + at / 10, 12.0) for at in range(10)),
        *(sample(45 + at / 10, 0.0, "503", 503) for at in range(4)),
        *(sample(46 + at / 10, 15.0, "ReadTimeout", 0) for at in range(16)),
    ]
    found = judged(run(*heavy, sample(60, 0.5)), capacity=2.0, before=100, peak=350)
    assert (found.sent, found.answered, found.refused) == (40, 20, 4)
    assert found.goodput == pytest.approx(10 / 20 / 2)  # those of 40 s and later came when it was over
    assert (found.grown_bytes, found.peak_bytes) == (250, 350)


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ([(51, 0.5), (60, 0.9)], 0.0),
        ([(51, 9.0), (60, 0.9)], 10.0),
        ([(51, 0.5), (60, 1.1), (70, 0.5)], 11.1),
        ([(51, 0.5), (70, 1.1)], None),
        ([], None),
    ],
)
def test_recovery_ends_with_the_last_slow_answer(after: list[tuple[float, float]], seconds: float | None) -> None:
    expected = seconds if seconds is None else pytest.approx(seconds)
    assert recovered_s(run(*(sample(at, took) for at, took in after))) == expected


def test_a_failure_afterwards_is_no_recovery_yet() -> None:
    failed = sample(55, 0.1, "503", 503)
    assert recovered_s(run(failed, sample(60, 0.5))) == pytest.approx(5.1)
    assert recovered_s(run(sample(55, 0.5), failed)) is None


def test_each_is_overloaded_with_three_times_its_own_capacity(tmp_path: Path) -> None:
    asked: list[tuple[Scenario, float]] = []

    def measure(server: Server, scenario: Scenario, rate: float) -> Run:
        asked.append((scenario, rate))
        return run(sample(31, 1.0), sample(60, 0.5))

    bodies = write_bodies([Question("q", ["d"] * 10)], "m")
    peers = [stand_in("a", "0.002")]
    found = overload(field_of(peers, tmp_path, []), Plan(bodies, 10, 0.8, 1, None), measure)
    ((scenario, rate),) = asked
    assert [(step["name"], step["rate"]) for step in scenario["arrivals"]["steps"]] == [
        *(("before", 0.3), ("overload", 3.0), ("after", 0.3))
    ]
    assert scenario["timeout_s"] == 15
    assert 10 < rate == found["a"].capacity < 50
    assert "| 1 | 1 (100%) | 0 |" in tables.overload_table(peers, found)
