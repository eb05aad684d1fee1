"""Services whose every delay is known: on a real socket, by aiohttp, in the event loop of whoever starts them.

A delay is worked out from a clock and not from the delays before it, so that no error of a timer adds up.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def served(delay: Callable[[str], Awaitable[None]]) -> AsyncIterator[str]:
    """The URL; what is asked below URL/NAME/ waits for `delay(NAME)` and is ranked then."""

    async def rank(request: web.Request) -> web.Response:
        documents = (await request.json())["documents"]
        await delay(request.match_info["name"])
        ranked = [{"index": place, "relevance_score": 0.5} for place in range(len(documents))]
        return web.json_response({"results": ranked})

    api = web.Application()
    api.router.add_post("/{name}/v1/rerank", rank)
    runner = web.AppRunner(api, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Stalls:
    """At the end of every `every_s` seconds for `for_s`: nothing is answered then."""

    def __init__(self, every_s: float, for_s: float, blocks: bool) -> None:
        self._every_s = every_s
        self._for_s = for_s
        self._blocks = blocks
        """Whether the whole event loop stalls, and whoever asks in it."""
        self._began = time.perf_counter()

    async def delay(self, _: str) -> None:
        left = self._every_s - (time.perf_counter() - self._began) % self._every_s
        if left > self._for_s:
            return
        if self._blocks:
            time.sleep(left)  # noqa: ASYNC251 - it is meant to
        else:
            await asyncio.sleep(left)


class Queues:
    """One server for each name, which takes requests in the order they came, `service_s` for each."""

    def __init__(self, service_s: float) -> None:
        self._service_s = service_s
        self._free_at: dict[str, float] = defaultdict(float)

    async def delay(self, name: str) -> None:
        now = time.perf_counter()
        self._free_at[name] = max(self._free_at[name], now) + self._service_s
        await asyncio.sleep(self._free_at[name] - now)
