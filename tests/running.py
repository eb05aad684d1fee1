"""A real service in a process of its own, started by the command that users type."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil

START_WITHIN_S = 180.0
STOP_WITHIN_S = 60.0


@dataclass(frozen=True)
class Running:
    """A service that answers at `url`."""

    url: str
    process: subprocess.Popen[str]
    http: httpx.Client

    def replicas(self, deployment: str) -> list[psutil.Process]:
        """The processes of one deployment's replicas."""
        title = f"ray::ServeReplica:rerank:{deployment}"
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [child for child in children if child.is_running() and " ".join(child.cmdline()).startswith(title)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command() -> Path:
    """The installed `rerank`."""
    return Path(sys.executable).parent / "rerank"


def run(*arguments: str, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    """A command as a user types it, on a wide terminal."""
    return subprocess.run(
        [command(), *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "COLUMNS": "200", **environment},
        check=False,
    )


def refused(result: "subprocess.CompletedProcess[str]") -> str:
    """What a command that ended with a sentence said."""
    assert result.returncode == 1, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


@contextmanager
def rerank_serve(*arguments: str, environment: Mapping[str, str], wait: bool = True) -> Iterator[Running]:
    """Start it on a free port, wait until it answers, and end it as Ctrl-C does. Without keys it is in open mode."""
    port = free_port()
    mode = () if "--keys" in arguments else ("--open",)
    folder = TemporaryDirectory()
    usage = {"RERANK_USAGE__PATH": str(Path(folder.name) / "usage.sqlite3")}
    process = subprocess.Popen(
        [command(), "serve", "--port", str(port), *mode, *arguments],
        env={**os.environ, **usage, **environment},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, timeout=90) as http:
            if wait:
                _wait_until_it_answers(http, process)
            yield Running(url, process, http)
    finally:
        stop(process)
        folder.cleanup()


def stop(process: subprocess.Popen[str]) -> str:
    """End it as Ctrl-C does; returns what it printed."""
    process.send_signal(signal.SIGINT)
    try:
        printed, _ = process.communicate(timeout=STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return printed


def _wait_until_it_answers(http: httpx.Client, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the service ended by itself:\n{process.communicate()[0]}")
        try:
            if http.get("/health").is_success and "application/json" in http.get("/v1/models").headers["content-type"]:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise TimeoutError(f"no answer within {START_WITHIN_S:g} s")
