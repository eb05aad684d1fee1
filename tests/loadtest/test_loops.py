import asyncio
import time
from collections.abc import Iterable, Iterator
from itertools import count, cycle, islice, pairwise
from threading import Event
from typing import Any

import pytest

from loadtest.loops import arrivals, closed_loop, open_loop
from loadtest.phases import percentile
from loadtest.questions import Question
from loadtest.service import Answer, Body, Service, connect, failures, write_bodies
from tests.loadtest.fake_peer import FakePeer, Reply, fake_peer

TWO = write_bodies([Question("q", ["one", "two"])], None)


class FakeService:
    """Answers at once, and remembers how many asked at a time; the first to ask can hold up all others."""

    def __init__(self, holds_up_s: float = 0.0) -> None:
        self.at_once = self.most = 0
        self.holds_up_s = holds_up_s

    async def ask(self, body: Body, due: float) -> Answer:
        time.sleep(self.holds_up_s)  # noqa: ASYNC251 - it is meant to block
        self.holds_up_s = 0.0
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        return Answer(due, time.perf_counter(), body.documents, None)


async def ask_at(service: "FakeService | Service", times: Iterable[float]) -> list[Answer]:
    """Until the times are used up."""
    return await open_loop(service, cycle(TWO), times, asyncio.get_running_loop().create_future())


def ask_peer(peer: FakePeer, times: Iterable[float]) -> list[Answer]:
    async def asked() -> list[Answer]:
        async with connect(peer.url) as service:
            return await ask_at(service, times)

    return asyncio.run(asked())


def test_arrivals_are_poisson_and_the_same_for_a_seed() -> None:
    times = list(islice(arrivals(20, seed=3), 20_000))
    assert times == list(islice(arrivals(20, seed=3), 20_000))
    assert times[:9] != list(islice(arrivals(20, seed=4), 9))
    gaps = [after - before for before, after in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(1 / 20, rel=0.03)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(mean**2, rel=0.05)


def test_a_peer_that_stalls_shows_in_every_request_that_was_due_meanwhile() -> None:
    over = Event()

    def stall_once(number: int, _: dict[str, Any]) -> Reply:
        if number > 2:
            over.set()
        return Reply(after_s=1.0 if number == 2 else 0.0)

    async def asked(url: str) -> list[Answer]:
        async with connect(url) as service:
            window = asyncio.create_task(asyncio.to_thread(over.wait))
            return await open_loop(service, cycle(TWO), (number * 0.05 for number in count()), window)

    with fake_peer(stall_once) as peer:
        answers = asyncio.run(asked(peer.url))
    began, ended = peer.busy[2]
    meanwhile = [answer for answer in answers if began < answer.due < ended]
    assert len(meanwhile) in (19, 20, 21)
    assert all(answer.latency_ms >= (ended - answer.due) * 1000 for answer in meanwhile)
    p99_ms = percentile([answer.latency_ms for answer in answers], 99)
    assert p99_ms is not None
    assert p99_ms >= 1000


def test_a_client_that_stalls_does_not_hide_it() -> None:
    first, second, third = asyncio.run(ask_at(FakeService(holds_up_s=0.5), [0.0, 0.1, 0.2]))
    assert third.due - first.due == pytest.approx(0.2)
    assert second.latency_ms > 390
    assert third.latency_ms > 290


def test_an_open_loop_does_not_wait_for_answers_and_ends_with_its_window() -> None:
    async def asked(service: Service) -> list[Answer]:
        window = asyncio.create_task(asyncio.sleep(0.2))
        return await open_loop(service, cycle(TWO), (number * 0.02 for number in range(10_000)), window)

    async def measured(url: str) -> list[Answer]:
        async with connect(url) as service:
            return await asked(service)

    with fake_peer(lambda number, _: Reply(after_s=0.5 if number == 0 else 0.0)) as peer:
        answers = asyncio.run(measured(peer.url))
    first_answer = min(answer.came for answer in answers)
    assert 1 < len(answers) < 10_000
    assert sum(answer.due < first_answer for answer in answers) > 1
    assert failures(answers) == {}


def test_streams_ask_one_request_each_at_a_time_until_the_bodies_are_used_up() -> None:
    service = FakeService()
    answers = asyncio.run(closed_loop(service, iter(TWO * 20), streams=4))
    assert service.most == 4
    assert sum(answer.documents for answer in answers) == 40


def test_every_failure_is_counted_by_what_it_was() -> None:
    replies = [Reply(), Reply(503), Reply(429), Reply(503), Reply(missing=1), Reply(hang_up=True)]
    with fake_peer(lambda number, _: replies[number]) as peer:
        answers = ask_peer(peer, [number * 0.01 for number in range(6)])
    assert failures(answers) == {"503": 2, "429": 1, "incomplete": 1, "RemoteProtocolError": 1}
    assert sum(answer.documents for answer in answers) == 2


def test_a_stream_that_is_refused_pauses_before_it_asks_again() -> None:
    with fake_peer(lambda *_: Reply(503)) as peer:
        asyncio.run(streamed(peer.url, iter(TWO * 3)))
    assert all(after[0] - before[1] > 0.09 for before, after in pairwise(peer.busy))


async def streamed(url: str, bodies: Iterator[Body]) -> list[Answer]:
    async with connect(url) as service:
        return await closed_loop(service, bodies, streams=1)


def test_nothing_is_measured_where_the_first_request_fails() -> None:
    async def warmed_up(url: str) -> None:
        async with connect(url) as service:
            await service.warm_up(TWO)

    with fake_peer(lambda *_: Reply(404)) as peer, pytest.raises(SystemExit, match="answered 404"):
        asyncio.run(warmed_up(peer.url))
    with pytest.raises(SystemExit, match="no answer from"):
        asyncio.run(warmed_up(peer.url))
