"""A real Redis server of a test's own, in a process that ends with it. It keeps nothing on the disk."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.running import free_port

START_WITHIN_S = 20.0
STOP_WITHIN_S = 20.0


@contextmanager
def redis_server(port: int | None = None) -> Iterator[str]:
    """Start `redis-server` on this port or a free one; gives its URL. Skips the test where there is no such program."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs redis-server on PATH: apt-get install redis-server")
    port = port or free_port()
    with tempfile.TemporaryDirectory() as folder:
        options = {"port": str(port), "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": folder}
        process = subprocess.Popen(
            [program, *(part for name, value in options.items() for part in (f"--{name}", value))],
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_until_it_answers(port, process)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.terminate()
            try:
                process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def database(url: str, number: int) -> str:
    """Another database of the same server, for what no other test may see."""
    return f"{url.rpartition('/')[0]}/{number}"


def _wait_until_it_answers(port: int, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + START_WITHIN_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"redis-server ended by itself with {process.returncode}")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError(f"no redis-server answers within {START_WITHIN_S:g} s")
