"""The fake of the Kubernetes API as a server on loopback, and the kubeconfig that leads to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml

from tests.cluster.kube_api import Asked, KubeApi, Refused

TOKEN = "of-the-test"


@contextmanager
def kube_api(folder: Path) -> Iterator[tuple[KubeApi, Path]]:
    """Serve one; yields it with a kubeconfig that leads to it."""
    api = KubeApi()

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            split = urlsplit(self.path)
            text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked = Asked(
                self.command,
                split.path,
                dict(parse_qsl(split.query)),
                self.headers.get("Content-Type", ""),
                yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if text else None,
            )
            try:
                if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    raise Refused(401, "Unauthorized")
                self._send(200, api.answer(asked))
            except Refused as refused:
                self._send(refused.code, refused.status)

        def _send(self, code: int, told: Any) -> None:
            content = told.encode() if isinstance(told, str) else json.dumps(told).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if isinstance(told, str) else "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PATCH = do_DELETE = do_POST = _serve  # noqa: N815 - the names of http.server

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    try:
        yield api, write_kubeconfig(folder, f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@contextmanager
def fake_cluster(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubeApi]:
    """What commands of this process find by default."""
    with kube_api(folder) as (api, kubeconfig):
        use(monkeypatch, kubeconfig)
        yield api


def use(monkeypatch: pytest.MonkeyPatch, kubeconfig: Path) -> None:
    """As KUBECONFIG does in a process of its own: the client reads that variable when it is imported."""
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(kubeconfig))


def write_kubeconfig(folder: Path, url: str, token: str = TOKEN) -> Path:
    file = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "clusters": [{"name": "test", "cluster": {"server": url}}],
        "users": [{"name": "test", "user": {"token": token}}],
    }
    file.write_text(yaml.safe_dump(config))
    return file
