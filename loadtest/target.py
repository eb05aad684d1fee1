"""A service that is asked: a written request and the time it is due in, a sample out, whatever came of it.

Connections are kept and as many are opened as requests are in flight: a limit would make requests wait here, in a
queue that no caller of a service has.
"""

import io
import math
import re
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from loadtest.dialects import DIALECTS, Dialect, Reply
from loadtest.samples import Sample
from loadtest.service import INCOMPLETE, Body

KEEP_S = 4.0
"""An unused connection: uvicorn closes after 5 s, and a request that crosses the closing on its way would fail."""
TIMEOUT = "timeout"
"""The failure of a request that the client gave up."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a service is, and how it is asked."""

    url: str
    dialect: str
    key: str | None
    timeout_s: float

    @property
    def spoken(self) -> Dialect:
        """The dialect itself."""
        return DIALECTS[self.dialect]


@dataclass(slots=True)
class _Seen:
    """What is known of an answer so far."""

    first_byte: float | None = None
    status: int = 0
    content: bytes = b""
    model: str = ""
    queue_ms: float | None = None


class Target:
    """One HTTP client of one process; `began` is the start of the run by time.perf_counter."""

    def __init__(self, http: aiohttp.ClientSession, address: Address) -> None:
        self._http = http
        self._url = address.url.rstrip("/") + address.spoken.path
        self._dialect = address.spoken
        self.began = time.perf_counter()

    async def ask(self, body: Body, stamp: int, due: float) -> Sample:
        """Ask now; `due` is when it should have been, in seconds since the run began."""
        content = body.stamped(stamp)
        sent = self._now()
        seen = _Seen()
        failure = await self._failure_of(content, seen)
        done = self._now()
        reply = Reply(0, None, "")
        if failure is None:
            reply = self._read(seen.content)
            failure = None if reply.ranked == body.documents else INCOMPLETE
        return Sample(
            due,
            sent,
            seen.first_byte,
            done,
            seen.status,
            failure,
            body.documents,
            reply.tokens,
            seen.model or reply.model,
            seen.queue_ms,
        )

    async def warm_up(self, asks: Iterable[tuple[Body, int]]) -> None:
        """One after another; ends the program with the service's words if one fails."""
        for body, stamp in asks:
            seen = _Seen()
            failure = await self._failure_of(body.stamped(stamp), seen)
            if failure is None and self._read(seen.content).ranked != body.documents:
                failure = INCOMPLETE
            if failure is not None:
                said = f": {seen.content[:300].decode(errors='replace')}" if seen.content else ""
                sys.exit(f"error: a first request to {self._url} failed ({failure}){said}")

    async def _failure_of(self, content: bytes, seen: _Seen) -> str | None:
        try:
            # aiohttp warns of large bytes; of a file it sends a part at a time.
            async with self._http.post(self._url, data=io.BytesIO(content)) as response:
                seen.first_byte, seen.status = self._now(), response.status
                seen.model = response.headers.get("x-rerank-model", "")
                seen.queue_ms = queue_ms(response.headers.get("server-timing", ""))
                seen.content = await response.read()
        except TimeoutError:
            return TIMEOUT
        except (aiohttp.ClientError, OSError) as error:
            return type(error).__name__
        return None if seen.status == 200 else str(seen.status)

    def _read(self, content: bytes) -> Reply:
        try:
            return self._dialect.read(content)
        except ValueError:
            return Reply(0, None, "")

    def _now(self) -> float:
        return time.perf_counter() - self.began


@asynccontextmanager
async def connect(address: Address) -> AsyncIterator[Target]:
    """A client of the service at an address."""
    headers = {
        "Content-Type": "application/json",
        **({"Authorization": f"Bearer {address.key}"} if address.key else {}),
    }
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_S)
    # Without the second number, aiohttp (3.14) rounds timeouts of 5 s and more up to a whole second of its clock.
    timeout = aiohttp.ClientTimeout(total=address.timeout_s, ceil_threshold=math.inf)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(headers=headers, connector=connector, timeout=timeout, cookie_jar=jar) as http:
        yield Target(http, address)


def queue_ms(server_timing: str) -> float | None:
    """The `queue` of a Server-Timing header, in milliseconds; None where it has none."""
    found = re.search(r"(?:^|,)\s*queue;dur=([0-9.]+)", server_timing)
    return float(found[1]) if found else None
