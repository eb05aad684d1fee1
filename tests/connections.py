"""Many connections that ask a service at once, each one as soon as it has its last answer, and what came of it."""

import http.client
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

ANSWER_WITHIN_S = 60.0
PAUSE_S = 0.05
"""After a connection that broke: the next one might too, at once."""
ID_PREFIX = "test-"


@dataclass(frozen=True, slots=True)
class Ask:
    """One request as it is sent."""

    path: str
    body: bytes
    key: str | None
    note: Any = None
    """Of the sender, for itself."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of it; times are of `time.time`."""

    ask: Ask
    id: str
    began: float
    ended: float
    status: int
    """0 when none came."""
    body: bytes

    @property
    def served(self) -> bool:
        return self.status == 200


def drive(url: str, asks: Iterable[Ask], connections: int) -> list[Answer]:
    """Send them over so many connections."""
    shared, turn, address = iter(asks), threading.Lock(), url.removeprefix("http://")

    def send_from_one_connection(_: int) -> list[Answer]:
        answers: list[Answer] = []
        connection = http.client.HTTPConnection(address, timeout=ANSWER_WITHIN_S)
        while True:
            with turn:
                ask = next(shared, None)
            if ask is None:
                connection.close()
                return answers
            answers.append(_send(connection, ask))

    with ThreadPoolExecutor(connections) as threads:
        return [answer for found in threads.map(send_from_one_connection, range(connections)) for answer in found]


def watched(asks: Iterable[Ask]) -> Iterator[Ask]:
    """The same, with progress where somebody looks."""
    began = time.monotonic()
    for number, ask in enumerate(asks):
        if number % 100 == 0 and sys.stderr.isatty():
            sys.stderr.write(f"\r{number:6} requests, {time.monotonic() - began:4.0f} s")
        yield ask


def tell(sentence: str) -> None:
    """To who runs a test with `-s`, and to who reads why it failed."""
    sys.stderr.write(f"\n{sentence}\n")


def _send(connection: http.client.HTTPConnection, ask: Ask) -> Answer:
    identity = f"{ID_PREFIX}{os.urandom(8).hex()}"
    headers = {"content-type": "application/json", "x-request-id": identity}
    if ask.key is not None:
        headers["authorization"] = f"Bearer {ask.key}"
    began = time.time()
    try:
        connection.request("POST", ask.path, ask.body, headers)
        response = connection.getresponse()
        body = response.read()
        return Answer(ask, identity, began, time.time(), response.status, body)
    except (http.client.HTTPException, OSError):
        connection.close()  # and it connects again by itself
        time.sleep(PAUSE_S)
        return Answer(ask, identity, began, time.time(), 0, b"")
