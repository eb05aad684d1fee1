"""Prometheus itself: its judgement of rules, by promtool, and a server on loopback with what it answers."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from serve_app.cluster.objects import Object
from tests.running import free_port

START_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0


@dataclass(frozen=True)
class Server:
    """It answers at `url`."""

    url: str

    def query(self, expression: str) -> list[Any]:
        """The series, now."""
        found: list[Any] = self._get("query", query=expression)["result"]
        return found

    def firing(self) -> dict[str, dict[str, str]]:
        """Labels of each alert that fires, by its name."""
        alerts = self._get("alerts")["alerts"]
        return {each["labels"]["alertname"]: each["labels"] for each in alerts if each["state"] == "firing"}

    def rules(self) -> list[Any]:
        """Every rule with its health."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def wait_until(self, holds: Callable[[], bool], within_s: float) -> None:
        until = time.monotonic() + within_s
        while not holds():
            assert time.monotonic() < until, "Prometheus has not seen it"
            time.sleep(0.2)

    def _get(self, path: str, **asked: str) -> Any:
        reply = httpx.get(f"{self.url}/api/v1/{path}", params=asked, timeout=20)
        assert reply.status_code == 200, reply.text
        return reply.json()["data"]


@contextmanager
def prometheus(folder: Path, config: Mapping[str, Any]) -> Iterator[Server]:
    """Start it over the blocks in `folder`/data, if there are any. Skips the test where there is no such program."""
    _require("prometheus")
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(dict(config)))
    port = free_port()
    options = {
        "config.file": folder / "prometheus.yaml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": f"127.0.0.1:{port}",
        "log.level": "warn",
    }
    process = subprocess.Popen(["prometheus", *(f"--{name}={value}" for name, value in options.items())])
    try:
        server = Server(f"http://127.0.0.1:{port}")
        server.wait_until(lambda: _ready(server, process), START_WITHIN_S)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def write_blocks(folder: Path, openmetrics: str) -> None:
    """Put samples of the past where a server that is started in `folder` has them."""
    (folder / "samples.txt").write_text(openmetrics)
    words = ("tsdb", "create-blocks-from", "openmetrics", str(folder / "samples.txt"), str(folder / "data"))
    assert _promtool(*words) == ""


def _ready(server: Server, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "Prometheus ended by itself"
    try:
        return httpx.get(f"{server.url}/-/ready", timeout=5).is_success
    except httpx.TransportError:
        return False


def check_rules(folder: Path, groups: Object) -> str:
    """What is wrong with `groups`; empty when nothing is."""
    rules = folder / "rules.yaml"
    rules.write_text(yaml.safe_dump(groups))
    return _promtool("check", "rules", "--lint-fatal", str(rules))


def run_rules(folder: Path, groups: Object, tests: list[Object]) -> str:
    """What fires otherwise than `tests` say; empty when nothing does."""
    (folder / "rules.yaml").write_text(yaml.safe_dump(groups))
    file = folder / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}))
    return _promtool("test", "rules", str(file))


def check_expressions(folder: Path, expressions: list[str]) -> str:
    """What is wrong with queries, which promtool takes as rules alone."""
    rules = [{"record": f"query:number_{number}", "expr": each} for number, each in enumerate(expressions)]
    return check_rules(folder, {"groups": [{"name": "queries", "rules": rules}]})


def _promtool(*words: str) -> str:
    _require("promtool")
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def _require(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"needs {program} (`apt-get install prometheus`)")
