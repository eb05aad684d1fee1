import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from loadtest.samples import Sample
from loadtest.service import Body
from loadtest.target import Address, Target, connect, queue_ms
from tests.loadtest.fake_peer import FakePeer, Reply, fake_peer
from tests.loadtest.slow_services import served
from tests.running import free_port

TWO = Body(b'{"query": "q 000000", "documents": ["one 000000", "two 000000"]}', 2)


Result = TypeVar("Result")


def with_target(url: str, use: Callable[[Target], Awaitable[Result]]) -> Result:
    async def used() -> Result:
        async with connect(Address(url, "native", None, 20.0)) as target:
            return await use(target)

    return asyncio.run(used())


def asked(peer: FakePeer, times: int) -> list[Sample]:
    async def ask(target: Target) -> list[Sample]:
        return [await target.ask(TWO, number, 0.01 * number) for number in range(times)]

    return with_target(peer.url, ask)


def test_a_sample_is_what_was_sent_and_what_came() -> None:
    headers = {"x-rerank-model": "some/model", "Server-Timing": "queue;dur=12.5, inference;dur=3.0"}
    with fake_peer(lambda *_: Reply(after_s=0.05, headers=headers)) as peer:
        first, second = asked(peer, 2)
    assert second.due == 0.01
    assert first.sent + 0.05 <= (first.first_byte or 0) <= first.done <= second.sent
    assert (first.status, first.failure, first.documents) == (200, None, 2)
    assert (first.model, first.queue_ms, first.tokens) == ("some/model", 12.5, None)
    assert [body["documents"][0] for body in peer.bodies] == ["one 000000", "one 000001"]


def test_every_failure_is_named() -> None:
    replies = [Reply(), Reply(503), Reply(429), Reply(missing=1), Reply(hang_up=True)]
    with fake_peer(lambda number, _: replies[number]) as peer:
        samples = asked(peer, 5)
    assert [sample.failure for sample in samples] == [None, "503", "429", "incomplete", "ServerDisconnectedError"]
    assert [sample.status for sample in samples] == [200, 503, 429, 200, 0]
    assert samples[4].first_byte is None
    assert all(sample.done >= sample.sent for sample in samples)


def test_a_service_that_is_not_there_is_a_failure() -> None:
    sample = with_target(f"http://127.0.0.1:{free_port()}", lambda target: target.ask(TWO, 1, 0.0))
    assert (sample.failure, sample.status) == ("ClientConnectorError", 0)


def test_a_client_gives_up_when_it_said_it_would() -> None:
    """And not at the next whole second, which is how aiohttp saves timers: one of three is far from that."""

    async def too_late(_: str) -> None:
        await asyncio.sleep(1)

    async def given_up() -> list[Sample]:
        async with served(too_late) as url, connect(Address(f"{url}/one", "native", None, 0.2)) as target:
            return [await target.ask(TWO, number, 0.0) for number in range(4)]

    samples = asyncio.run(given_up())
    assert {(sample.failure, sample.status) for sample in samples} == {("timeout", 0)}
    assert all(0.19 < sample.done - sample.sent < 0.6 for sample in samples)


def test_as_many_requests_are_in_flight_as_are_due() -> None:
    at_once = 0
    all_here = asyncio.Event()

    async def until_all_are_here(_: str) -> None:
        nonlocal at_once
        at_once += 1
        if at_once == 150:
            all_here.set()
        await all_here.wait()

    async def met() -> list[Sample]:
        async with served(until_all_are_here) as url, connect(Address(f"{url}/one", "native", None, 20)) as target:
            return await asyncio.gather(*(target.ask(TWO, number, 0.0) for number in range(150)))

    assert {sample.failure for sample in asyncio.run(met())} == {None}


def test_connections_are_kept() -> None:
    """A second connection would be a second handshake, and with TLS many milliseconds."""
    with fake_peer(lambda *_: Reply()) as peer:

        async def ask(target: Target) -> int:
            for number in range(3):
                await target.ask(TWO, number, 0.0)
            connector = target._http.connector
            assert connector is not None
            return sum(len(kept) for kept in connector._conns.values())

        assert with_target(peer.url, ask) == 1


def test_a_key_is_sent_as_a_bearer() -> None:
    async def sent() -> str | None:
        async with connect(Address("http://127.0.0.1:1", "native", "secret", 1.0)) as target:
            return target._http.headers.get("Authorization")

    assert asyncio.run(sent()) == "Bearer secret"


def test_a_large_body_is_sent_whole() -> None:
    large = Body(json.dumps({"query": "q", "documents": ["many words " * 100_000] * 2}).encode(), 2)
    with fake_peer(lambda *_: Reply()) as peer:
        sample = with_target(peer.url, lambda target: target.ask(large, 1, 0.0))
    assert sample.failure is None
    assert json.loads(large.content) == peer.bodies[0]


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(404), r"failed \(404\): .*results"),
        (Reply(missing=1), "incomplete"),
        (Reply(hang_up=True), "Disconnected"),
    ],
)
def test_nothing_is_measured_where_a_first_request_fails(reply: Reply, sentence: str) -> None:
    with (
        fake_peer(lambda *_: reply) as peer,
        pytest.raises(SystemExit, match=f"/v1/rerank failed.*{sentence}|{sentence}"),
    ):
        with_target(peer.url, lambda target: target.warm_up([(TWO, 1)]))


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("queue;dur=1.5, tokenize;dur=2.0", 1.5),
        ("inference;dur=3.0, queue;dur=0.0", 0.0),
        ("inference;dur=3.0", None),
        ("queue", None),
        ("queue;dur=soon", None),
        ("", None),
    ],
)
def test_the_time_in_the_queue_is_read_from_server_timing(header: str, expected: float | None) -> None:
    assert queue_ms(header) == expected
