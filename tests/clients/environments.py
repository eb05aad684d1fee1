"""The environments that the vendors' packages run in: a name in, the interpreter of an environment that has them out.

Their pins exclude each other (cohere 5, 6 and 7; httpx 0.27 and 0.28), so there are three of them, and one for Locust,
which comes with gevent. `constraints.txt` holds the versions of everything that all agree on; what they disagree on is
pinned here.
"""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CACHE = ".venv-clients"
"""Folder in the project's root. An environment is made once and kept while its pins stay as they are."""
CONSTRAINTS = Path(__file__).parent / "constraints.txt"
INSTALL_WITHIN_S = 900
_NO_INDEX = ("Retrying (Retry(", "NewConnectionError", "Could not fetch URL", "ReadTimeoutError", "ProxyError")


class IndexUnreachable(Exception):
    """pip could not reach a package index."""


@dataclass(frozen=True)
class Environment:
    """Packages that can be installed together, and the drivers that run with them."""

    name: str
    drivers: tuple[str, ...]
    packages: tuple[str, ...]

    @property
    def folder(self) -> str:
        """Its name and a hash of all that decides what is in it."""
        pins = [sys.version, CONSTRAINTS.read_text(), *self.packages]
        return f"{self.name}-{hashlib.sha256('|'.join(pins).encode()).hexdigest()[:12]}"


ENVIRONMENTS = (
    Environment(
        "sdks",
        ("cohere", "litellm"),
        (
            "cohere==7.3.1",
            "litellm==1.103.7",
            "httpx==0.28.1",
            "openai==2.54.0",
            "pydantic==2.14.4",
        ),
    ),
    Environment(
        "langchain",
        ("infinity", "langchain", "openai", "rerankers", "tei", "voyage", "xinference"),
        (
            "infinity-client==0.0.78",
            "langchain-cohere==0.6.0",
            "langchain-community==0.4.2",
            "langchain-nvidia-ai-endpoints==1.5.0",
            "openai==3.54.0",
            "rerankers==0.10.0",
            "tei-client==0.2.4",
            "voyageai==0.5.0",
            "xinference-client==4.1.0",
            "cohere==5.21.1",
            "httpx==0.27.2",
            "pydantic==2.14.4",
        ),
    ),
    Environment(
        "locust",
        ("locust",),
        (
            "locust==2.47.0",
            "httpx==0.28.1",
            "pydantic==2.14.4",
            "pyyaml==6.0.4",
        ),
    ),
    Environment(
        "frameworks",
        ("haystack", "llama_index"),
        (
            "cohere-haystack==11.0.0",
            "huggingface-api-haystack==3.1.0",
            "jina-haystack==2.0.1",
            "nvidia-haystack==3.0.0",
            "vllm-haystack==3.0.1",
            "llama-index-postprocessor-cohere-rerank==0.10.0",
            "llama-index-postprocessor-jinaai-rerank==0.6.0",
            "llama-index-postprocessor-nvidia-rerank==0.7.0",
            "llama-index-postprocessor-siliconflow-rerank==0.5.0",
            "llama-index-postprocessor-tei-rerank==0.6.0",
            "llama-index-postprocessor-xinference-rerank==0.5.0",
            "cohere==6.1.0",
            "httpx==0.28.1",
            "openai==3.54.0",
            "pydantic==2.12.5",
        ),
    ),
)


def environment_of(driver: str) -> Environment:
    """The environment that a driver runs in."""
    return next(environment for environment in ENVIRONMENTS if driver in environment.drivers)


def interpreter(environment: Environment, root: Path, say: Callable[[str], None]) -> Path:
    """The environment's interpreter; makes the environment when it is not there. Raises IndexUnreachable."""
    folder = root / CACHE / environment.folder
    python = folder / "bin" / "python"
    complete = folder / "complete"
    if not complete.exists():
        say(f"installing {len(environment.packages)} packages and what they need into {CACHE}/{environment.folder}")
        shutil.rmtree(folder, ignore_errors=True)
        # Without pip, which the one of this interpreter stands in for: three seconds less.
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
        _install(python, environment)
        complete.touch()
    return python


def _install(python: Path, environment: Environment) -> None:
    # --no-compile: most of it is never imported, and what is gets compiled then.
    options = ["--quiet", "--no-compile", "--disable-pip-version-check", "--constraint", str(CONSTRAINTS)]
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", *options, *environment.packages]
    result = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_WITHIN_S, check=False)
    if result.returncode == 0:
        return
    if any(sign in result.stderr for sign in _NO_INDEX):
        raise IndexUnreachable(f"needs a package index to install the {environment.name} clients from")
    raise RuntimeError(f"pip could not install the {environment.name} clients:\n{result.stderr[-3000:]}")
