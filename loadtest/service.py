"""A service that ranks on `POST /v1/rerank`, asked by many at once: bodies in, answers with their times out.

Whatever comes back is an answer. One that ranks nothing has a failure: its status, or why none came.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count

import httpx

from loadtest.questions import STAMP, Question

TIMEOUT_S = 300.0
INCOMPLETE = "incomplete"
"""The failure of a 200 that does not rank every document."""


@dataclass(frozen=True, slots=True)
class Body:
    """A request, written before the clock starts, but for the stamps of its documents."""

    content: bytes
    documents: int

    def stamped(self, number: int) -> bytes:
        """With documents that were never sent before, if the number is new."""
        return self.content.replace(STAMP.encode(), f" {number:06}".encode())


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; times are time.perf_counter's, in seconds."""

    due: float
    """When it was meant to be asked, which can be earlier than it was."""
    came: float
    documents: int
    """That it ranks."""
    failure: str | None

    @property
    def latency_ms(self) -> float:
        """From the moment it was meant to be asked."""
        return (self.came - self.due) * 1000


class Service:
    """One HTTP client for all who ask; an open loop needs as many connections as it has requests in flight."""

    _numbers = count(1)
    """Of all clients of this process: a service remembers beyond a connection."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def ask(self, body: Body, due: float) -> Answer:
        """Ask now; `due` is when it should have been."""
        try:
            response = await self._http.post("/v1/rerank", content=body.stamped(next(self._numbers)))
        except httpx.HTTPError as error:
            return Answer(due, time.perf_counter(), 0, type(error).__name__)
        came = time.perf_counter()
        if response.status_code != 200:
            return Answer(due, came, 0, str(response.status_code))
        if _ranked(response) != body.documents:
            return Answer(due, came, 0, INCOMPLETE)
        return Answer(due, came, body.documents, None)

    async def warm_up(self, bodies: Iterable[Body]) -> None:
        """Ask each once; ends the program with the service's words if one fails."""
        for body in bodies:
            try:
                response = await self._http.post("/v1/rerank", content=body.stamped(next(self._numbers)))
            except httpx.HTTPError as error:
                sys.exit(f"error: no answer from {self._http.base_url}: {error or type(error).__name__}")
            if response.status_code != 200:
                sys.exit(f"error: {self._http.base_url} answered {response.status_code}: {response.text[:300]}")


def client(url: str, key: str | None = None) -> httpx.AsyncClient:
    """To the service at a URL, without a limit to connections."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    return httpx.AsyncClient(base_url=url.rstrip("/"), headers=headers, limits=limits, timeout=TIMEOUT_S)


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[Service]:
    """The service at a URL."""
    async with client(url) as http:
        yield Service(http)


def checked(response: httpx.Response) -> httpx.Response:
    """The response; ends the program with the service's words if it is an error."""
    if response.is_error:
        sys.exit(f"error: {response.request.url.path} answered {response.status_code}: {response.text[:300]}")
    return response


def write_bodies(questions: Sequence[Question], model: str | None, **fields: float | str) -> list[Body]:
    """A body a question; `fields` are what else the service is told, such as what the answer may cost."""
    named = {"model": model} if model else {}
    return [
        Body(
            json.dumps(
                {**named, **fields, "query": question.query, "documents": [t + STAMP for t in question.documents]}
            ).encode(),
            len(question.documents),
        )
        for question in questions
    ]


def failures(answers: Iterable[Answer]) -> dict[str, int]:
    """How often each happened, the most frequent first."""
    return dict(Counter(answer.failure for answer in answers if answer.failure is not None).most_common())


def _ranked(response: httpx.Response) -> int:
    """Documents in it; 0 where it is no ranking."""
    try:
        return len(response.json()["results"])
    except (ValueError, KeyError, TypeError):
        return 0
