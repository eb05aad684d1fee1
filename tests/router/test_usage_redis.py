"""What the Redis sink has of its own: a server that can be away, and a URL with a password."""

import asyncio
from datetime import date

import pytest

from serve_app.errors import ConfigurationError, UsageUnavailable
from serve_app.router.charge import Account, Charge
from serve_app.router.usage_redis import RedisSink
from tests.redis_server import redis_server
from tests.running import free_port

pytestmark = pytest.mark.anyio

TODAY = date(2026, 11, 30)
BATCH = {Account(TODAY, "a", "m"): Charge(requests=1, documents=2)}


async def test_an_absent_redis_is_ours_to_report_without_its_address_or_password() -> None:
    sink = RedisSink(f"redis://me:hunter2@127.0.0.1:{free_port()}/0")
    for failing in (sink.write("one", BATCH), sink.read(TODAY, TODAY, None), sink.spent(TODAY)):
        with pytest.raises(UsageUnavailable) as failure:
            await failing
        assert str(failure.value) == "usage cannot be read or written now: Redis fails with ConnectionError"
        assert failure.value.__suppress_context__
    assert "hunter2" not in repr(sink.__dict__)
    await sink.close()


async def test_a_redis_that_comes_back_is_written_to() -> None:
    port = free_port()
    with redis_server(port) as url:
        sink = RedisSink(url)
        await sink.write("one", BATCH)
    with pytest.raises(UsageUnavailable):
        await sink.write("two", BATCH)
    with redis_server(port):
        await sink.write("two", BATCH)
        assert dict(await sink.read(TODAY, TODAY, None)) == BATCH
        await sink.close()


async def test_a_server_that_repeats_the_password_is_not_repeated() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await reader.read(4_096):
            writer.write(b"-ERR unknown command, with args beginning with: " + asked.replace(b"\r\n", b" ") + b"\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    sink = RedisSink(f"redis://:hunter2@127.0.0.1:{port}/0")
    with pytest.raises(UsageUnavailable) as failure:
        await sink.spent(TODAY)
    assert "hunter2" not in str(failure.value)
    await sink.close()
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("url", ["redis://:hunter2/x@host:6379/0", "http://:hunter2@host", "hunter2"])
def test_a_url_that_is_none_is_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the URL of Redis cannot be read") as failure:
        RedisSink(url)
    assert "hunter2" not in str(failure.value)
    assert failure.value.__suppress_context__
