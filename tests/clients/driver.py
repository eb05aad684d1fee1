"""A driver as the tests use it: a call in, what the vendor's package returned or raised out.

The driver is a process of its own, in its package's environment, and is started once for all calls of a module:
importing some of these packages takes seconds.
"""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ANSWER_WITHIN_S = 90.0
QUIET = {
    "DO_NOT_TRACK": "1",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_TELEMETRY": "False",
}
"""What these packages ask the internet for, or tell it, unless they are told not to."""
_KEPT = ("PATH", "LANG", "LC_", "TMPDIR", "OPENBLAS_")
"""Beginnings of the variables that a driver gets from here: no key, proxy or URL of the person who runs the tests."""


@dataclass(frozen=True)
class Raised:
    """An exception of a client."""

    kinds: tuple[str, ...]
    """Its class and the classes above it, with their modules."""
    status: int | None
    message: str

    def is_a(self, name: str) -> bool:
        """Whether it, or a class above it, has this name; `package:Name` asks for the package it comes from as well."""
        package, _, wanted = name.rpartition(":")
        return any(kind.startswith(package) and kind.rpartition(".")[2] == wanted for kind in self.kinds)


class Driver:
    """A running driver."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self._process = process
        self._log = log

    def returns(self, operation: str, **arguments: object) -> Any:
        """What the client returned."""
        answer = self._call(operation, arguments)
        assert "returned" in answer, f"{operation} raised {answer['raised']}"
        return answer["returned"]

    def raises(self, operation: str, **arguments: object) -> Raised:
        """What the client raised."""
        answer = self._call(operation, arguments)
        assert "raised" in answer, f"{operation} returned {answer['returned']}"
        raised = answer["raised"]
        return Raised(tuple(raised["kinds"]), raised["status"], raised["message"])

    def _call(self, operation: str, arguments: dict[str, object]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watch = threading.Timer(ANSWER_WITHIN_S, self._process.kill)
        watch.start()
        try:
            self._process.stdin.write(json.dumps({"operation": operation, "arguments": arguments}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        finally:
            watch.cancel()
        assert line, f"the driver ended without an answer:\n{self._log.read_text()[-3000:]}"
        answer: dict[str, Any] = json.loads(line)
        assert answer["refused_hosts"] == [], f"the client asked for {answer['refused_hosts']}"
        return answer


@contextmanager
def running(name: str, python: Path, home: Path) -> Iterator[Driver]:
    """The driver of that name; `home` is a folder for what its packages write."""
    log = home / f"{name}.log"
    kept = {variable: value for variable, value in os.environ.items() if variable.startswith(_KEPT)}
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [python, "-m", f"drivers.{name}"],
            cwd=HERE,
            env={**kept, **QUIET, "HOME": str(home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        try:
            yield Driver(process, log)
        finally:
            process.kill()
