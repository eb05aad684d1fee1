"""A small server that speaks the hub's metadata and file endpoints from a folder, and misbehaves on demand.

It stands in for the Hugging Face hub, which tests cannot reach; huggingface_hub itself is the real one.
"""

import hashlib
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = 2_000
"""Bytes from which a file has a SHA-256, as Git LFS files have; smaller ones have git's."""
CHUNK = 1_000


@dataclass
class Hub:
    """One repository's files at one commit, and what goes wrong."""

    folder: Path
    commit: str
    url: str = ""
    requests: list[str] = field(default_factory=list)
    """`METHOD path` of each, in order; a range is appended."""
    authorizations: list[str] = field(default_factory=list)
    """The header of each that had one."""
    sent: int = 0
    """Bytes of file content."""
    status: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Ending of a path → status and X-Error-Code of the answer."""
    cut: dict[str, int] = field(default_factory=dict)
    """File → bytes of an answer after which the connection breaks."""
    corrupt: set[str] = field(default_factory=set)
    stalls: dict[str, int] = field(default_factory=dict)
    """File → place in it behind which nothing more comes, and the connection stays open."""
    short: set[str] = field(default_factory=set)
    """Files that come without their last byte, in an answer that claims to be whole."""
    pause_s: float = 0.0
    """Between two chunks."""
    ranges: bool = True
    elsewhere: bool = False
    """Whether large files come from another host, as the hub's do."""
    closing: Event = field(default_factory=Event)

    def model_requests(self) -> list[str]:
        """Paths of the requests that were about models: huggingface_hub 2.4 asks for /api/agent-harnesses besides."""
        return [request.split()[1] for request in self.requests if "agent-harnesses" not in request]

    def metadata(self) -> dict[str, Any]:
        return {"id": "any/model", "sha": self.commit, "siblings": [self._sibling(f) for f in self._files()]}

    def tree(self) -> list[dict[str, Any]]:
        """The same as snapshot_download asks for it."""
        listed = []
        for sibling in self.metadata()["siblings"]:
            entry = {"type": "file", "path": sibling["rfilename"], "size": sibling["size"], "oid": sibling["blobId"]}
            if lfs := sibling.get("lfs"):
                entry["lfs"] = {"oid": lfs["sha256"], "size": lfs["size"], "pointerSize": lfs["pointerSize"]}
            listed.append(entry)
        return listed

    def _files(self) -> list[Path]:
        return sorted(path for path in self.folder.iterdir() if path.is_file())

    def _sibling(self, path: Path) -> dict[str, Any]:
        content = path.read_bytes()
        blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
        found: dict[str, Any] = {"rfilename": path.name, "size": len(content), "blobId": blob}
        if len(content) >= LARGE:
            sha256 = hashlib.sha256(content).hexdigest()
            found["lfs"] = {"size": len(content), "sha256": sha256, "pointerSize": 130}
        return found


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        wanted = self.headers.get("Range", "")
        hub.authorizations += self.headers.get_all("Authorization", [])
        hub.requests.append(f"{self.command} {path} {wanted}".strip())
        for ending, (status, code) in hub.status.items():
            if path.endswith(ending):
                return self._send(status, {"X-Error-Code": code} if code else {}, b"{}", with_body)
        if path.startswith("/api/models/"):
            described = hub.metadata() if "/revision/" in path else hub.tree()
            return self._send(200, {"Content-Type": "application/json"}, json.dumps(described).encode(), with_body)
        name = path.rsplit("/", 1)[-1]
        if "/resolve/" not in path or not (hub.folder / name).is_file():
            return self._send(404, {"X-Error-Code": "EntryNotFound"}, b"", with_body)
        if hub.elsewhere and (hub.folder / name).stat().st_size >= LARGE and not path.startswith("/elsewhere/"):
            there = hub.url.replace("127.0.0.1", "localhost") + f"/elsewhere/resolve/{name}"
            return self._send(302, {"Location": there}, b"", with_body)
        return self._send_file(name, wanted, with_body)

    def _send(self, status: int, headers: dict[str, str], body: bytes, with_body: bool) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def _send_file(self, name: str, wanted: str, with_body: bool) -> None:
        hub = self.hub
        content = (hub.folder / name).read_bytes()
        whole = len(content)
        if name in hub.corrupt:
            content = content[:-1] + bytes([content[-1] ^ 1])
        if name in hub.short:
            content = content[:-1]
        begin = int(wanted.removeprefix("bytes=").split("-")[0]) if wanted and hub.ranges else 0
        self.send_response(206 if wanted and hub.ranges else 200)
        self.send_header("X-Repo-Commit", hub.commit)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{whole - 1}/{whole}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        if with_body:
            self._stream(name, content, begin)

    def _stream(self, name: str, content: bytes, begin: int) -> None:
        hub = self.hub
        end = min(len(content), begin + hub.cut.get(name, len(content)), hub.stalls.get(name, len(content)))
        for start in range(begin, end, CHUNK):
            chunk = content[start : min(start + CHUNK, end)]
            self.wfile.write(chunk)
            hub.sent += len(chunk)
            time.sleep(hub.pause_s)
        if name in hub.stalls:
            hub.closing.wait()
        self.close_connection = end < len(content)


@contextmanager
def hub_server(folder: Path, commit: str) -> Iterator[Hub]:
    """Serve the files of `folder` as those of any repository at any revision."""
    hub = Hub(folder, commit)
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
