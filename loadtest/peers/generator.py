"""The load generator as a command of its own: a running peer and a scenario in, the run that it leaves behind out.

Everything else here takes `Measure`, which tests stand in for.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from loadtest.peers.peer import ROOT
from loadtest.peers.server import PeerFailed, Server
from loadtest.samples import Run, Sample, read_run

DIALECT = "native"
"""POST /v1/rerank with {model, query, documents}, which all speak."""
Scenario = Mapping[str, Any]
"""As the generator reads it from YAML."""
Measure = Callable[[Server, Scenario, float], Run]
"""The rate is in requests a second, or what a scenario's rates are multiples of."""


@dataclass(frozen=True, slots=True)
class Generator:
    """`python -m loadtest run`, with its text."""

    text: Path | None
    """A run with queries and candidates; without it text is made up."""

    def __call__(self, server: Server, scenario: Scenario, rate: float) -> Run:
        """The samples; raises PeerFailed with the command's words where it leaves none."""
        with TemporaryDirectory() as made:
            plan, out = Path(made) / "peers.yaml", Path(made) / "peers.run.json.gz"
            plan.write_text(yaml.safe_dump(dict(scenario)), encoding="utf-8")
            command = [sys.executable, "-m", "loadtest", "run", str(plan), "--rate", f"{rate:.6f}", "--out", str(out)]
            done = subprocess.run(
                [*command, *self._target(server)], cwd=ROOT, capture_output=True, text=True, check=False
            )
            server.check()
            if not out.exists():  # one that was late itself says so in the run, and ends with 1 all the same
                raise PeerFailed(f"{server.peer.name} could not be loaded: {done.stderr.strip()[-3000:]}")
            return read_run(out)

    def _target(self, server: Server) -> Sequence[str]:
        text = ["--run", str(self.text)] if self.text else []
        asked = ["--url", server.url, "--dialect", DIALECT, "--model", server.model]
        return [*asked, "--name", server.peer.name, *text]


def steady(documents: int, seconds: float, timeout_s: float = 300.0, slo_ms: float = 500.0) -> Scenario:
    """Requests at random times (Poisson), at the rate that it is run with."""
    arrivals = {"pattern": "poisson", "rate": 1}
    return _scenario(arrivals, documents, timeout_s, slo_ms) | {"seconds": seconds}


def steps(stages: Sequence[tuple[str, float, float]], documents: int, timeout_s: float, slo_ms: float) -> Scenario:
    """One stage after another: name, multiple of the rate that it is run with, seconds."""
    listed = [{"name": name, "rate": rate, "seconds": seconds} for name, rate, seconds in stages]
    return _scenario({"pattern": "steps", "steps": listed}, documents, timeout_s, slo_ms) | {"of_capacity": True}


def stage(run: Run, name: str) -> tuple[float, float]:
    """When a stage began and ended, in seconds of the run."""
    began = 0.0
    for phase in run.scenario["phases"]:
        ended = began + float(phase["seconds"])
        if phase["name"] == name:
            return began, ended
        began = ended
    raise LookupError(f"the run has no stage named {name}")


def due_in(run: Run, name: str) -> list[Sample]:
    """The requests of a stage."""
    began, ended = stage(run, name)
    return [sample for sample in run.samples if began <= sample.due < ended]


def _scenario(arrivals: Mapping[str, Any], documents: int, timeout_s: float, slo_ms: float) -> dict[str, Any]:
    workload = {"documents": documents}
    return {"arrivals": dict(arrivals), "workload": workload, "slo_ms": slo_ms, "timeout_s": timeout_s}
