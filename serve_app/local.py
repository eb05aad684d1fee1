"""A Ray of our own on this machine, for as long as it is needed: loopback only, nothing shared with another Ray."""

import logging
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from serve_app.ingress import LOOPBACK, WAY_IN, haproxy_can_run, haproxy_on_loopback, stop_taking

OBJECT_STORE_BYTES = 200 * 2**20
"""Holds the documents of requests in flight, 8 MiB each at most."""


@dataclass(frozen=True, slots=True)
class PrivateRay:
    """One that runs."""

    folder: Path

    @property
    def logs(self) -> Path:
        """Of Ray Serve."""
        return self.folder / "session_latest" / "logs" / "serve"

    def delete(self, application: str, within_s: float) -> None:
        """Let requests in flight end, then the application; `within_s` is how long a request may take."""
        from ray import serve

        stop_taking(self.folder, within_s)
        serve.delete(application)


@contextmanager
def private_ray(host: str, port: int) -> Iterator[PrivateRay]:
    """Ray, and Ray Serve's HTTP on `host`:`port`."""
    # Ray reads these when it is imported. It binds every interface unless it believes that clusters are impossible
    # here; one port of each Serve replica stays open to all even then (ray 2.60.0, replica.py, "[::]:0"), and
    # takes pickles, so that the token, which nobody else knows, is what keeps it shut.
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    os.environ["RAY_AUTH_MODE"] = "token"
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    folder = Path(tempfile.mkdtemp(prefix="rerank-"))
    os.environ.update(WAY_IN)
    if haproxy_can_run(folder):
        os.environ.update(haproxy_on_loopback(folder, host, port))
        host = LOOPBACK
    else:
        os.environ["RAY_SERVE_ENABLE_HA_PROXY"] = "0"  # Ray's proxy in Python
    import ray

    on_term = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(
            address="local",
            include_dashboard=False,
            log_to_driver=False,
            configure_logging=False,
            object_store_memory=OBJECT_STORE_BYTES,
            _temp_dir=str(folder),
        )
        # What runs in Ray has it from here on; handles in this process outlive the loops that ask through them.
        del os.environ["RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP"]
        from ray import serve

        signal.signal(signal.SIGTERM, on_term)  # Ray has put a handler there that ends this process alone
        logging.getLogger("ray.serve").setLevel(logging.WARNING)  # here; the replicas keep theirs
        serve.start(http_options={"host": host, "port": port})
        yield PrivateRay(folder)
    finally:
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)
