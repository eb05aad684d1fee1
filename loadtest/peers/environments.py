"""The environments that peers run in: a peer in, the folder of its programs out, made when it is not there.

Their pins exclude each other and ours (numpy 1 and 2, transformers 4 and 5), so each has its own. What a peer's
packages pull in is pinned in `constraints/NAME.txt`.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from platformdirs import user_cache_path

from loadtest.peers.peer import TORCH, Peer

CONSTRAINTS = Path(__file__).parent / "constraints"
INSTALL_WITHIN_S = 900
_NO_INDEX = ("Retrying (Retry(", "NewConnectionError", "Could not fetch URL", "ReadTimeoutError", "ProxyError")


class IndexUnreachable(Exception):
    """pip could not reach a package index."""


def default_cache() -> Path:
    """Where environments are kept for this user."""
    return user_cache_path("rerank-serve") / "peers"


def programs(peer: Peer, cache: Path, say: Callable[[str], None]) -> Path:
    """The folder of the peer's programs; for what is ours, that of this interpreter.

    Makes the environment where it is not there, or its pins have changed. Raises IndexUnreachable, and RuntimeError
    with pip's words.
    """
    if peer.ours:
        return Path(sys.executable).parent
    folder = cache / folder_name(peer)
    complete = folder / "complete"
    if not complete.exists():
        say(f"installing {peer.name} into {folder} (a minute or two, once)")
        shutil.rmtree(folder, ignore_errors=True)
        # Without pip, which the one of this interpreter stands in for: three seconds less.
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        _install(peer, folder, [TORCH])
        _install(peer, folder, [TORCH, *peer.packages])
        complete.touch()
    return folder / "bin"


def folder_name(peer: Peer) -> str:
    """The peer's name and a hash of all that decides what is in its environment."""
    pins = [sys.version, TORCH, _constraints(peer).read_text(), *peer.packages]
    return f"{peer.name}-{hashlib.sha256('|'.join(pins).encode()).hexdigest()[:12]}"


def _install(peer: Peer, folder: Path, packages: Sequence[str]) -> None:
    # --no-compile: most of it is never imported, and what is gets compiled then.
    options = ["--quiet", "--no-compile", "--disable-pip-version-check", "--constraint", str(_constraints(peer))]
    command = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", *options, *packages]
    result = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_WITHIN_S, check=False)
    if result.returncode == 0:
        return
    if any(sign in result.stderr for sign in _NO_INDEX):
        raise IndexUnreachable(f"the environment of {peer.name} needs a package index to be installed from")
    raise RuntimeError(f"pip could not install {peer.name}:\n{result.stderr[-3000:]}")


def _constraints(peer: Peer) -> Path:
    return CONSTRAINTS / f"{peer.name}.txt"
