import time
from collections.abc import Sequence

import pytest

from loadtest.generator import BUSY, LATE_MS, Crew, Told, crew, judged, share_out
from loadtest.plan import Ask, Plan
from loadtest.progress import Progress
from loadtest.samples import Sample
from loadtest.service import Body
from loadtest.target import Address
from tests.loadtest.fake_peer import Reply, fake_peer

TWO = Body(b'{"query": "q 000000", "documents": ["one 000000", "two 000000"]}', 2)
PLAN = Plan(1.0, [TWO], [Ask(0.02 * number, 0, number) for number in range(50)])


def sample(due: float, sent: float | None = None, done: float | None = None, failure: str | None = None) -> Sample:
    sent = due if sent is None else sent
    return Sample(due, sent, None, sent if done is None else done, 200, failure, 2, None, "", None)


def all_told(working: Crew) -> tuple[list[Sample], list[float]]:
    samples: list[Sample] = []
    shares: list[float] = []
    for came in working.told():
        for told in came.values():
            samples += told.samples
            shares += [] if told.cpu_share is None else [told.cpu_share]
    return samples, shares


def test_several_processes_send_each_request_once_when_it_is_due() -> None:
    with fake_peer(lambda *_: Reply()) as peer:
        jobs = share_out(Address(peer.url, "native", None, 20), PLAN, 2)
        with crew(jobs) as working:
            began = working.begin()
            assert began > time.perf_counter()
            samples, shares = all_told(working)
    assert sorted(each.due for each in samples) == [ask.due for ask in PLAN.asks]
    assert sorted(body["query"] for body in peer.bodies) == [f"q {number:06}" for number in range(50)]
    assert all(each.failure is None and each.sent >= each.due for each in samples)
    sent_at = min(arrived for arrived, _ in peer.busy)
    assert sent_at >= began
    assert len(shares) == 2
    assert all(0 < share < 1.5 for share in shares)


def test_a_process_that_ends_before_its_time_ends_the_run() -> None:
    jobs = share_out(Address("http://127.0.0.1:1", "no such dialect", None, 1), PLAN, 1)
    with crew(jobs) as working, pytest.raises(RuntimeError, match="ended before its work was done"):
        working.begin()


def test_processes_end_with_the_block() -> None:
    far = Plan(900.0, [TWO], [Ask(900.0, 0, 0)])
    with crew(share_out(Address("http://127.0.0.1:1", "native", None, 1), far, 1)) as working:
        working.begin()
    assert all(not process.is_alive() for process in working._processes)


@pytest.mark.parametrize(
    ("late_s", "shares", "late"),
    [
        ([0.0] * 100, [0.5, 0.6], False),
        ([0.0] * 99 + [9.0], [0.5], False),
        ([0.0] * 98 + [9.0] * 2, [0.5], True),
        ([LATE_MS / 1_000 * 0.99] * 100, [0.5], False),
        ([LATE_MS / 1_000 * 1.01] * 100, [0.5], True),
        ([0.0] * 100, [0.1, BUSY + 0.01], True),
    ],
)
def test_a_generator_is_late_by_its_p99_or_its_busiest_process(
    late_s: Sequence[float], shares: Sequence[float], late: bool
) -> None:
    told = judged([sample(float(place), place + by) for place, by in enumerate(late_s)], shares)
    assert told.late is late
    assert (told.processes, told.cpu_share) == (len(shares), max(shares))


def test_progress_counts_what_processes_told_and_looks_at_the_last_seconds() -> None:
    progress = Progress([0.0, 1.0, 11.0, 90.0])
    progress.add({0: Told(1, [sample(0.0, done=0.9)])}, now=1.0)
    progress.add(
        {0: Told(2, [sample(11.0, done=11.2)], 0.3), 1: Told(1, [sample(1.0, done=1.1, failure="503")])}, now=12
    )
    row = [next(iter(column.cells)) for column in progress.shown(12.0).columns]
    assert row == ["12", "3 of 4", "3", "3", "1", "200", "200"]
    assert progress.cpu_shares == [0.3]


def test_progress_without_an_answer_has_no_percentile() -> None:
    row = [next(iter(column.cells)) for column in Progress([1.0]).shown(0.5).columns]
    assert row == ["0", "0 of 1", "0", "0", "0", "–", "–"]
