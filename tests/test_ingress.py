"""HAProxy as a local service starts it: on loopback alone, and gone when Ray is."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest

from serve_app.ingress import haproxy_can_run, haproxy_on_loopback, stop_taking
from tests.running import free_port

WITHIN_S = 10.0
CONFIG = """\
defaults
    mode http
    option idle-close-on-response
    timeout client 5s
    timeout connect 5s
    timeout server 5s
frontend http_frontend
    bind 127.0.0.1:{service}
    http-request return status 200
frontend prometheus
    bind :{metrics}
listen stats
  bind *:{statistics}
"""
"""What Ray's template binds, and how it treats idle clients."""


@pytest.fixture
def folder() -> Iterator[Path]:
    with TemporaryDirectory(prefix="rerank-") as name:
        yield Path(name)


@pytest.mark.parametrize("host", ["127.0.0.2", "::1"])
def test_its_own_pages_are_on_loopback_and_it_ends_with_who_started_it(folder: Path, host: str) -> None:
    service, metrics, statistics = free_port(), free_port(), free_port()
    expected = {(host, service), ("127.0.0.1", metrics), ("127.0.0.1", statistics)}
    with _started(folder, host, service, metrics, statistics) as parent:
        try:
            _wait_until(lambda: len(_listening(parent.pid)) == len(expected))
            assert _listening(parent.pid) == expected
            [haproxy] = psutil.Process(parent.pid).children()
        finally:
            os.kill(parent.pid, signal.SIGKILL)
    _wait_until(lambda: not haproxy.is_running() or haproxy.status() == psutil.STATUS_ZOMBIE)


def test_it_stops_at_once_for_clients_that_are_connected_and_ask_nothing(folder: Path) -> None:
    service = free_port()
    with _started(folder, "127.0.0.1", service, free_port(), free_port()) as parent:
        _wait_until(lambda: ("127.0.0.1", service) in _listening(parent.pid))
        idle = HTTPConnection("127.0.0.1", service)
        idle.request("GET", "/")
        assert idle.getresponse().read() == b""
        began = time.monotonic()
        stop_taking(folder, WITHIN_S)
        assert time.monotonic() - began < WITHIN_S / 2
        assert parent.wait(WITHIN_S) == 0
        idle.close()


def test_where_no_haproxy_runs_nothing_is_waited_for(folder: Path) -> None:
    began = time.monotonic()
    stop_taking(folder, WITHIN_S)
    assert time.monotonic() - began < WITHIN_S / 2


def test_its_files_are_in_the_folder_and_its_ports_are_different(folder: Path) -> None:
    told = haproxy_on_loopback(folder, "127.0.0.1", 8000)
    places = [value for name, value in told.items() if name.startswith("RAY_SERVE_HAPROXY_") and "PORT" not in name]
    assert len(places) == 6
    assert all(Path(place).is_relative_to(folder) for place in places)
    ports = [value for name, value in told.items() if name.endswith("PORT")]
    assert len(set(ports)) == 3


def test_a_folder_that_is_too_long_for_its_sockets_gets_rays_own_proxy(folder: Path) -> None:
    assert haproxy_can_run(folder)
    assert not haproxy_can_run(folder / ("a" * 30))


def test_other_systems_get_rays_own_proxy(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert not haproxy_can_run(folder)


def _started(folder: Path, host: str, service: int, metrics: int, statistics: int) -> "subprocess.Popen[bytes]":
    """HAProxy as Ray starts it: its parent."""
    program = haproxy_on_loopback(folder, host, service)["RAY_SERVE_HAPROXY_BINARY_PATH"]
    config = folder / "some.cfg"
    config.write_text(CONFIG.format(service=service, metrics=metrics, statistics=statistics))
    as_ray_does = f"import subprocess; subprocess.run([{program!r}, '-db', '-f', {str(config)!r}, '-dR'])"
    return subprocess.Popen([sys.executable, "-c", as_ray_does])


def _listening(parent: int) -> set[tuple[str, int]]:
    return {
        (connection.laddr.ip, connection.laddr.port)
        for child in psutil.Process(parent).children()
        for connection in child.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }


def _wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)
