"""CPU time of the processes behind a port of this machine: those of the Ray that listens there, by what they do."""

from collections.abc import Mapping
from urllib.parse import urlsplit

import psutil

ROLES = {"proxy": "ray::ProxyActor", "router": "ray::ServeReplica:rerank:router"}
"""How the titles of Ray's processes begin. Every other replica is a scorer, or whatever the service has instead."""
REPLICA = "ray::ServeReplica:"


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
        raylet = psutil.Process(listening[0]).parent()
        self._members = [] if raylet is None else [*raylet.children(), raylet]

    def cpu_s(self) -> Mapping[str, float]:
        """Seconds of CPU so far, by role."""
        spent = {"proxy": 0.0, "router": 0.0, "replica": 0.0, "other": 0.0}
        for process in self._members:
            times = process.cpu_times()
            spent[_role(" ".join(process.cmdline()))] += times.user + times.system
        return spent


def _role(title: str) -> str:
    for role, beginning in ROLES.items():
        if title.startswith(beginning):
            return role
    return "replica" if title.startswith(REPLICA) else "other"
