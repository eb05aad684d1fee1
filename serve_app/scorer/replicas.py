"""Replicas that share a device, each a process with its part of the CPUs, as the service has them: for measurements.

One process of Python feeds a fast GPU only so far: its threads tokenise, but one at a time makes rows and batches.
"""

import multiprocessing
import os
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from serve_app.catalog import Variant
from serve_app.errors import EngineFailure
from serve_app.scorer.packing import PathName
from serve_app.scoring import Device

END_WITHIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Share:
    """What one replica scores, and how."""

    variant: Variant
    folder: Path
    device: Device
    path: PathName | None
    pairs: Sequence[tuple[str, Sequence[str]]]


class Replicas:
    """Processes that each hold the model and a share of the pairs, and score them when they are told to."""

    def __init__(self, shares: Sequence[Share]) -> None:
        """Start one for each share, and wait until all have loaded."""
        spawning = multiprocessing.get_context("spawn")  # a process that has used CUDA cannot fork
        threads = max(1, len(os.sched_getaffinity(0)) // len(shares))
        self._replicas: list[tuple[BaseProcess, Connection]] = []
        for share in shares:
            ours, theirs = spawning.Pipe()
            process = spawning.Process(target=_serve, args=(theirs, share, threads), daemon=True)
            process.start()
            theirs.close()  # so that what is read ends with the process
            self._replicas.append((process, ours))
        self._wait()

    def score(self) -> None:
        """All shares, at once."""
        for _, connection in self._replicas:
            connection.send(True)
        self._wait()

    def close(self) -> None:
        """End the processes."""
        for _, connection in self._replicas:
            connection.close()
        for process, _ in self._replicas:
            process.join(END_WITHIN_S)

    def _wait(self) -> None:
        """Raises EngineFailure when one has ended."""
        for process, connection in self._replicas:
            try:
                connection.recv()
            except EOFError as error:
                process.join(END_WITHIN_S)
                raise EngineFailure(f"a replica ended with {process.exitcode}: its log above says why") from error


def _serve(connection: Connection, share: Share, threads: int) -> None:
    os.environ["RAYON_NUM_THREADS"] = str(threads)
    import torch

    from serve_app.scorer.loading import load_folder
    from serve_app.scorer.streaming import score
    from serve_app.scorer.token_cache import TokenCache

    torch.set_num_threads(threads)
    model = load_folder(share.variant, share.folder, share.device, share.path)
    model.tokenizer.cache = TokenCache(most_bytes=0)  # every round scores the same texts, and has to read them
    connection.send(True)
    while True:
        try:
            connection.recv()
        except EOFError:
            return
        score(model, share.pairs)
        connection.send(True)
