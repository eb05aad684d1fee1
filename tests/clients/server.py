"""The service as the clients meet it: real HTTP on loopback, fake scorers behind it, and every request written down."""

import contextlib
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve_app.catalog import Variant
from serve_app.router.http import create_api
from serve_app.router.keys import Keyring, NoKeys
from serve_app.scoring import ScoreJob, ScoreOutcome
from serve_app.settings import Limits
from tests.clients.keys import Keys, issue
from tests.fakes import FakeScorers
from tests.router.building import House

LIMITS = Limits(max_documents=20, max_body_bytes=100_000, request_timeout_s=30.0)
LONG_QUERY = "a question that takes its time"
"""Its request stays at work until the scorers are let go."""
PATIENCE_S = 20.0


@dataclass(frozen=True)
class Seen:
    """A request as it came, and the status of its answer."""

    path: str
    headers: dict[str, str]
    body: Any
    status: int


@dataclass
class Recorder:
    """An ASGI application around another one, that writes down what comes."""

    application: ASGIApp
    seen: list[Seen] = field(default_factory=list)
    on_refusal: Callable[[], None] = lambda: None
    """Called after each answer with status 429."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = bytearray()
        status = 0

        async def hear() -> Message:
            message = await receive()
            sent.extend(message.get("body", b""))
            return message

        async def tell(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            if message["type"] == "http.response.start":
                self._note(scope, bytes(sent), status)
            await send(message)

        await self.application(scope, hear, tell)
        if status == 429:
            self.on_refusal()

    def _note(self, scope: Scope, sent: bytes, status: int) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        body = None
        with contextlib.suppress(ValueError):
            body = json.loads(sent)
        self.seen.append(Seen(scope["path"], headers, body, status))


class PatientScorers(FakeScorers):
    """Fake scorers that hold a long query until they are let go."""

    def __init__(self) -> None:
        super().__init__()
        self.at_work = threading.Event()
        self.let_go = threading.Event()

    async def score(self, variant: Variant, job: ScoreJob) -> ScoreOutcome:
        if LONG_QUERY in job.queries:
            self.at_work.set()
            await anyio.to_thread.run_sync(self.let_go.wait, PATIENCE_S)
        return await super().score(variant, job)


@dataclass(frozen=True)
class ServerAddress:
    """A service that answers at `url`."""

    url: str
    keys: Keys
    recorder: Recorder
    scorers: PatientScorers


@contextmanager
def client_server(open_mode: bool = False) -> Iterator[ServerAddress]:
    """The service on a free port; in open mode it asks for no key."""
    scorers = PatientScorers()
    with tempfile.TemporaryDirectory() as folder:
        keyring, keys = issue(Path(folder))
        recorder = Recorder(application(scorers, None if open_mode else keyring))
        with served(recorder) as port:
            yield ServerAddress(f"http://127.0.0.1:{port}", keys, recorder, scorers)


def application(scorers: FakeScorers, keyring: Keyring | None) -> ASGIApp:
    """The service's ASGI application; without a keyring it is in open mode."""
    house = House({}, LIMITS, scorers)
    return create_api(house.service, house.office, keyring or NoKeys())


@contextmanager
def served(api: ASGIApp) -> Iterator[int]:
    """The application on a free port of loopback."""
    server = uvicorn.Server(uvicorn.Config(api, port=0, log_level="warning", ws="none", lifespan="off"))
    thread = threading.Thread(target=server.run, name="client server")
    thread.start()
    try:
        yield _port(server)
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


def _port(server: uvicorn.Server) -> int:
    until = time.monotonic() + PATIENCE_S
    while not server.started:
        assert time.monotonic() < until, "the service did not start"
        time.sleep(0.01)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port
