"""Who is compared: how each is installed, started and asked, with the best settings that its documentation names.

All read the same folder of weights, listen on loopback and answer {model, query, documents} on POST /v1/rerank. What is
ours needs no packages: it is started from the environment of the caller.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Numbers = Literal["floats", "int8"]
"""What products of weights are computed in: rows of a table compare within one of them."""
TORCH = "torch==2.13.0"
"""By itself and with its exact version, pip takes a wheel that lies on disk, such as a CPU build."""
SERVERS = "{bin}/python", "-m"


@dataclass(frozen=True, slots=True)
class Peer:
    """A server of reranking on this machine."""

    name: str
    what: str
    numbers: Numbers
    settings: str
    """In words, for whoever reads the table."""
    packages: tuple[str, ...]
    """Beside torch; none where the caller's environment has all that it needs."""
    command: tuple[str, ...]
    """With {bin}, {folder}, {models}, {model} and {port}: programs, weights, the folder that they lie in, the name
    that requests have, where to listen on loopback."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """With {made}, a folder that is gone afterwards."""

    @property
    def ours(self) -> bool:
        """Whether it is this project's service, which the others are compared with."""
        return not self.packages

    def started_with(self, programs: Path, folder: Path, model: str, port: int) -> list[str]:
        """The command that serves the weights in `folder`."""
        words = {"bin": programs, "folder": folder, "models": folder.parent, "model": model, "port": port}
        return [word.format(**words) for word in self.command]

    def surroundings(self, made: Path) -> dict[str, str]:
        """Environment variables of its process: nothing is fetched from anywhere and nothing reported."""
        own = {name: value.format(made=made) for name, value in self.environment.items()}
        quiet = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
        return {**os.environ, **quiet, "PYTHONPATH": str(ROOT), **own}


ROOT = Path(__file__).parents[2]
_OURS = "{bin}/rerank", "serve", "--open", "--variants", "{model}", "--models-dir", "{models}", "--port", "{port}"
_LEDGER = {"RERANK_USAGE__PATH": "{made}/usage.sqlite3"}
"""What is measured is nobody's usage."""
PEERS = (
    Peer(
        "ours",
        "rerank serve",
        "floats",
        "as installed: bf16 where the CPU computes it natively, else fp32",
        (),
        _OURS,
        _LEDGER,
    ),
    Peer(
        "sentence-transformers",
        "CrossEncoder.predict behind FastAPI",
        "floats",
        "fp32, batches of 32, sorted by length by itself, a thread a request",
        ("sentence-transformers==6.2.0", "transformers==5.23.0", "fastapi==0.165.0", "uvicorn==0.54.0"),
        (*SERVERS, "loadtest.peers.sentence_transformers_server", "{folder}", "{port}"),
    ),
    Peer(
        "ray-serve",
        "Ray Serve with @serve.batch, CrossEncoder.predict in it",
        "floats",
        "fp32, batches of 32 pairs of any requests, 10 ms wait, one replica with all cores",
        ("ray[serve]==2.60.0", "sentence-transformers==6.2.0", "transformers==5.23.0"),
        (*SERVERS, "loadtest.peers.ray_serve_server", "{folder}", "{port}"),
    ),
    Peer(
        "infinity",
        "infinity-emb, torch engine",
        "floats",
        "fp32, batches of 32, torch.compile; SDPA, since the transformers that it takes has no BetterTransformer",
        ("infinity-emb[server,torch]==0.0.78",),
        (
            *("{bin}/infinity_emb", "v2", "--model-id", "{folder}", "--served-model-name", "{model}"),
            *("--engine", "torch", "--device", "cpu", "--dtype", "float32", "--no-bettertransformer"),
            *("--batch-size", "32", "--host", "127.0.0.1", "--port", "{port}", "--url-prefix", "/v1"),
            *("--log-level", "warning"),
        ),
        {"INFINITY_ANONYMOUS_USAGE_STATS": "0"},
    ),
    Peer("ours-int8", "rerank serve", "int8", "RERANK_DTYPE=int8", (), _OURS, {**_LEDGER, "RERANK_DTYPE": "int8"}),
    Peer(
        "onnxruntime-int8",
        "onnxruntime behind FastAPI",
        "int8",
        "dynamic, per tensor; BERT's fusions, batches of 32 sorted by length, all cores, a thread a request",
        (
            *("onnxruntime==1.32.0", "onnx==1.23.2", "transformers==5.23.0"),
            *("fastapi==0.165.0", "uvicorn==0.54.0"),
        ),
        (*SERVERS, "loadtest.peers.onnx_server", "{folder}", "{port}"),
    ),
)


def chosen(names: Sequence[str]) -> list[Peer]:
    """Those of the names, in the table's order, or all; raises LookupError with a sentence for a name of nobody."""
    known = {peer.name for peer in PEERS}
    if unknown := [name for name in names if name not in known]:
        raise LookupError(f"no peer is named {', '.join(unknown)}: there are {', '.join(sorted(known))}")
    return [peer for peer in PEERS if not names or peer.name in names]
