"""Who asks a service and keeps what came: bodies and times in, answers out with the model and the words of each.

One object asks for everything that is compared, so that no document is sent twice: a service that keeps the tokens of
what it has seen would do better the second time.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from itertools import count, cycle

import httpx

from loadtest.loops import open_loop
from loadtest.service import Answer, Body

SEE_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Kept(Answer):
    """An answer, when it was asked for, who gave it, and what was said beside it."""

    asked: float = 0.0
    model: str = ""
    predicted_ms: float | None = None
    """How long the service expected to take."""
    degraded: bool = False
    """Whether the service says that it may be worse or later than what was asked for."""


class Callers:
    """Who asks the service, and keeps what came."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._numbers = count()
        self.answers: list[Kept] = []

    async def ask(self, body: Body, due: float) -> Answer:
        """Ask now; `due` is when it should have been."""
        asked = time.perf_counter()
        try:
            response = await self._http.post("/v1/rerank", content=body.stamped(next(self._numbers)))
        except httpx.HTTPError as error:
            answer = Kept(due, time.perf_counter(), 0, type(error).__name__, asked)
        else:
            answer = _kept(response, body, due, asked)
        self.answers.append(answer)
        return answer

    async def warm_up(self, bodies: Iterable[Body]) -> None:
        """Ask each once, one after another; ends the program if one fails."""
        for body in bodies:
            answer = await self.ask(body, time.perf_counter())
            if answer.failure is not None:
                sys.exit(f"error: a first request to {self._http.base_url} failed: {answer.failure}")

    async def load(self, bodies: Sequence[Body], times: Iterable[float]) -> AsyncIterator[Sequence[Kept]]:
        """Ask at those times (seconds from now); yields what came so far, and at last, when all came, all of it."""
        first = len(self.answers)
        never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asking = asyncio.create_task(open_loop(self, cycle(bodies), times, never))
        while not asking.done():
            await asyncio.wait({asking}, timeout=SEE_EVERY_S)
            yield self.answers[first:]
        await asking


def _kept(response: httpx.Response, body: Body, due: float, asked: float) -> Kept:
    told = response.headers
    predicted = told.get("x-rerank-predicted-ms")
    return Kept(
        due,
        time.perf_counter(),
        body.documents,
        None if response.status_code == 200 else str(response.status_code),
        asked,
        told.get("x-rerank-model", ""),
        None if predicted is None else float(predicted),
        "x-rerank-degraded" in told,
    )
