import asyncio

import pytest

from serve_app.router.deployment import _tell_failure

pytestmark = pytest.mark.anyio


async def _fail() -> None:
    raise ZeroDivisionError


async def test_a_ledger_that_stops_writing_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    writing = asyncio.create_task(_fail(), name="usage is not written")
    await asyncio.wait({writing})
    _tell_failure(writing)
    assert "usage is not written any more" in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_a_ledger_that_is_stopped_is_not(caplog: pytest.LogCaptureFixture) -> None:
    writing = asyncio.create_task(asyncio.sleep(60))
    writing.cancel()
    await asyncio.wait({writing})
    _tell_failure(writing)
    assert not caplog.text
