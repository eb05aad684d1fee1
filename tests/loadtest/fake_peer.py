"""A fake service on a real socket: it ranks in the order that documents came in, as late and as badly as it is told.

It stands in for any peer that answers POST /v1/rerank, and lists the models that it is given on GET /v1/models. It
works on one request at a time.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any


@dataclass(frozen=True)
class Reply:
    """How to answer one request."""

    status: int = 200
    after_s: float = 0.0
    missing: int = 0
    """Documents that the ranking lacks."""
    hang_up: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class FakePeer:
    """`reply` is given the number of the request, from 0, and its body."""

    reply: Callable[[int, dict[str, Any]], Reply]
    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    busy: list[tuple[float, float]] = field(default_factory=list)
    """From when to when it worked on each request, by time.perf_counter."""
    working: Lock = field(default_factory=Lock)


@contextmanager
def fake_peer(
    reply: Callable[[int, dict[str, Any]], Reply], models: Sequence[dict[str, Any]] = (), port: int = 0
) -> Iterator[FakePeer]:
    peer = FakePeer(reply)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # headers and body are two writes: the second would wait 40 ms

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with peer.working:
                began = time.perf_counter()
                number = len(peer.bodies)
                peer.bodies.append(body)
                told = peer.reply(number, body)
                time.sleep(told.after_s)
                peer.busy.append((began, time.perf_counter()))
            if told.hang_up:
                self.close_connection = True
                return
            ranked = range(len(body["documents"]) - told.missing)
            self.send(told.status, told.headers, {"results": [{"index": i, "relevance_score": 0.5} for i in ranked]})

        def do_GET(self) -> None:
            self.send(200 if self.path == "/v1/models" else 404, {}, {"data": models})

        def send(self, status: int, headers: Mapping[str, str], body: dict[str, Any]) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in (*headers.items(), ("Content-Length", str(len(content)))):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        peer.url = f"http://127.0.0.1:{server.server_port}"
        yield peer
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
