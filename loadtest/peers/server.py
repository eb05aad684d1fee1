"""A peer's server in a process of its own: started, waited for, its memory watched, stopped with all its children."""

import contextlib
import json
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import psutil

from loadtest.peers.peer import ROOT, Peer
from loadtest.startup import memory

START_WITHIN_S = 300.0
STOP_WITHIN_S = 30.0
"""A server that is still at requests which nobody waits for is killed after it."""
LOOK_EVERY_S = 0.2
MEMORY_EVERY_S = 2.0
"""Each look takes the kernel milliseconds a process."""
LAST_LINES = 15
BODY = {"query": "How many people live in Berlin?", "documents": ["Berlin has 3.5 million inhabitants.", "Museums."]}


class PeerFailed(Exception):
    """A peer that does not answer; the sentence has the last lines that it said."""


@dataclass(frozen=True, slots=True)
class Weights:
    """What everybody serves."""

    folder: Path
    model: str
    """The name that requests have."""


@dataclass
class Server:
    """A running peer."""

    peer: Peer
    model: str
    url: str
    process: "subprocess.Popen[bytes]"
    log: Path
    peak_bytes: int = 0
    """Of proportional set size, of the process and its descendants, since it answers."""
    over: Event = field(default_factory=Event)

    def bytes_now(self) -> int:
        """Of memory; what ends while it is looked at counts nothing."""
        with contextlib.suppress(psutil.Error):
            now, _, _ = memory(self.process.pid)
            self.peak_bytes = max(self.peak_bytes, now)
            return now
        return 0

    def check(self) -> None:
        """Raises PeerFailed if it has ended."""
        if self.process.poll() is not None:
            raise PeerFailed(f"{self.peer.name} ended by itself ({self.process.returncode}):\n{last_lines(self.log)}")

    def watch(self) -> None:
        """Looks at the memory until it is over."""
        while not self.over.wait(MEMORY_EVERY_S):
            self.bytes_now()


@contextmanager
def started(peer: Peer, programs: Path, weights: Weights, logs: Path) -> Iterator[Server]:
    """The peer on a free port of loopback, once it ranks; raises PeerFailed if it does not come to that."""
    port = _free_port()
    log = logs / f"{peer.name}.log"
    command = peer.started_with(programs, weights.folder, weights.model, port)
    with log.open("wb") as said:
        process = subprocess.Popen(
            command,
            stdout=said,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
            env=peer.surroundings(logs),
        )
    server = Server(peer, weights.model, f"http://127.0.0.1:{port}", process, log)
    watching = Thread(target=server.watch, name=f"memory of {peer.name}")
    try:
        _wait(server)
        server.bytes_now()
        watching.start()
        yield server
    finally:
        server.over.set()
        if watching.is_alive():
            watching.join()
        _stop(process)


def last_lines(log: Path) -> str:
    """Of what a server said."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:])


def _wait(server: Server) -> None:
    until = time.monotonic() + START_WITHIN_S
    while not _ranks(server):
        server.check()
        if time.monotonic() > until:
            raise PeerFailed(
                f"{server.peer.name} does not rank after {START_WITHIN_S:g} s. It said last:\n{last_lines(server.log)}"
            )
        time.sleep(LOOK_EVERY_S)


def _ranks(server: Server) -> bool:
    content = json.dumps({**BODY, "model": server.model}).encode()
    request = urllib.request.Request(f"{server.url}/v1/rerank", content, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=START_WITHIN_S) as response:
            return len(json.load(response)["results"]) == len(BODY["documents"])
    except (OSError, KeyError, ValueError):
        return False


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """With all of its descendants, whose list is gone when it has ended."""
    family = [process.pid]
    with contextlib.suppress(psutil.Error):
        family += [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    known = [psutil.Process(pid) for pid in family if psutil.pid_exists(pid)]
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_WITHIN_S)
    for left in known:
        with contextlib.suppress(psutil.Error):
            left.kill()
    process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
