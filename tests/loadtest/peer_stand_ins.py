"""Peers that start in a moment, and a load generator that asks nobody."""

import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from loadtest.peers.field import Field
from loadtest.peers.generator import Scenario
from loadtest.peers.peer import Numbers, Peer
from loadtest.peers.server import Server, Weights, started
from loadtest.samples import Generator, Run, Sample


def stand_in(name: str, how: str = "0.0002", numbers: Numbers = "floats", *, ours: bool = False) -> Peer:
    """Ranks each document in so many seconds, or fails as `ranking_server` knows to."""
    command = ("{bin}/python", "-m", "tests.loadtest.ranking_server", "{port}", how)
    return Peer(name, "a stand-in", numbers, f"{how} s a document", () if ours else ("a-package==1",), command)


def field_of(peers: Sequence[Peer], logs: Path, said: list[str]) -> Field:
    """With this interpreter for everybody."""

    def start(peer: Peer) -> AbstractContextManager[Server]:
        return started(peer, Path(sys.executable).parent, Weights(logs, "a-model"), logs)

    return Field(peers, start, said.append)


def sample(due: float, took_s: float, failure: str | None = None, status: int = 200) -> Sample:
    return Sample(due, due, due + took_s, due + took_s, status, failure, 100, None, "", None)


def run_of(name: str, scenario: Scenario, samples: Sequence[Sample], *, late: bool = False) -> Run:
    """As the generator writes it: steps of a scenario are its phases, their rates multiplied."""
    phases = scenario["arrivals"].get("steps", [])
    seconds = scenario.get("seconds") or sum(phase["seconds"] for phase in phases)
    told = {**scenario, "phases": phases}
    return Run(name, told, "", "2026-01-01T00:00:00+00:00", seconds, Generator(1, 0.1, 1.0, late), samples)


class Stub:
    """A generator whose every request takes so long: ten in each stage, or in the whole.

    `asked` is what it was told to do.
    """

    def __init__(self, took_s: float) -> None:
        self.took_s = took_s
        self.asked: list[tuple[str, Scenario, float]] = []

    def __call__(self, server: Server, scenario: Scenario, rate: float) -> Run:
        self.asked.append((server.peer.name, scenario, rate))
        stages = scenario["arrivals"].get("steps") or [{"seconds": scenario["seconds"]}]
        samples, began = [], 0.0
        for stage in stages:
            samples += [sample(began + stage["seconds"] * place / 10, self.took_s) for place in range(10)]
            began += stage["seconds"]
        return run_of(server.peer.name, scenario, samples)
