"""CPU time of the processes behind a port of this machine: those of the Ray that listens there, by what they do."""

from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import urlsplit

import psutil

RAYLET = "raylet"
PROXIES = ("ray::ProxyActor", "ray::HAProxyManager")
ROUTER = "ray::ServeReplica:rerank:router"
REPLICA = "ray::ServeReplica:"
"""How the titles of Ray's processes begin. Every other replica is a scorer, or whatever the service has instead."""


class Family:
    """The processes of one service; raises LookupError when nobody of this machine listens at the URL."""

    def __init__(self, url: str) -> None:
        port = urlsplit(url).port
        listening = [
            found.pid
            for found in psutil.net_connections("tcp")
            if found.status == psutil.CONN_LISTEN and found.laddr and found.laddr.port == port and found.pid is not None
        ]
        if not listening:
            raise LookupError(f"no process of this machine listens at {url}")
        parents = (parent for parent in psutil.Process(listening[0]).parents() if parent.name() == RAYLET)
        raylet = next(parents, None)
        if raylet is None:
            raise LookupError(f"what listens at {url} is not of a Ray")
        self._members = [*raylet.children(recursive=True), raylet]

    def cpu_s(self) -> Mapping[str, float]:
        """Seconds of CPU so far, by role."""
        spent = {"proxy": 0.0, "router": 0.0, "replica": 0.0, "other": 0.0}
        for process in self._members:
            with suppress(psutil.NoSuchProcess):  # HAProxy is followed by another when there are other replicas
                times = process.cpu_times()
                spent[_role(" ".join(process.cmdline()))] += times.user + times.system
        return spent


def _role(title: str) -> str:
    """Of a process by its title; HAProxy's is the path of its program."""
    words = title.split()
    if title.startswith(PROXIES) or (words and words[0].endswith("/haproxy")):
        return "proxy"
    if title.startswith(ROUTER):
        return "router"
    return "replica" if title.startswith(REPLICA) else "other"
