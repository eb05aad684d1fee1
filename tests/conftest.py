"""What every test starts from: no hub, no settings of the person who runs them, and where the large files are."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
for _name in [name for name in os.environ if name.startswith("RERANK_")]:
    del os.environ[_name]
_LEDGER = tempfile.TemporaryDirectory(prefix="rerank-tests-")
os.environ["RERANK_USAGE__PATH"] = str(Path(_LEDGER.name) / "usage.sqlite3")  # and not that of the person

from serve_app.catalog import Catalog  # noqa: E402 - the environment comes first
from serve_app.catalog_file import default_catalog_path, load_catalog  # noqa: E402
from tests.checkpoints import write_checkpoint  # noqa: E402
from tests.redis_server import redis_server  # noqa: E402
from tests.running import Running, rerank_serve  # noqa: E402

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return load_catalog(default_catalog_path())


@pytest.fixture(scope="session")
def real_models() -> Path:
    """The folder of real weights."""
    folder = SHARED / "models"
    if not (folder / "ms-marco-MiniLM-L12-v2").is_dir():
        pytest.skip(f"needs real MiniLM-L12 weights in {folder}")
    return folder


@pytest.fixture(scope="session")
def trec_run() -> Path:
    """The folder of TREC DL 2019: a run and its judgements."""
    folder = SHARED / "data" / "trec-dl-2019"
    if not folder.is_dir():
        pytest.skip(f"needs the TREC DL 2019 run in {folder}")
    return folder


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory, catalog: Catalog) -> Path:
    """Small random checkpoints in the place of four variants."""
    folder = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("minilm-l12", "minilm-l6", "tinybert-l2-v2")):
        write_checkpoint(folder / catalog.variants[name].folder, seed=seed)
    damaged = folder / catalog.variants["minilm-l4"].folder
    write_checkpoint(damaged, seed=9)
    (damaged / "model.safetensors").write_bytes(b"not weights")
    return folder


@pytest.fixture(scope="session")
def service(small_models: Path) -> Iterator[Running]:
    """`rerank serve` as a user starts it, over small random checkpoints."""
    with rerank_serve("--models-dir", str(small_models), environment={"RERANK_DTYPE": "fp32"}) as running:
        yield running


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """A real Redis on loopback."""
    with redis_server() as url:
        yield url
