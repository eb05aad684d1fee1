from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, BertForSequenceClassification, BertTokenizer, PreTrainedTokenizerBase

from serve_app.catalog import Catalog
from serve_app.scorer.engine import TorchEngine
from serve_app.scorer.tokenizer import PairTokenizer
from tests.checkpoints import write_checkpoint
from tests.hub_server import Hub, hub_server


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, BertForSequenceClassification]:
    """A small checkpoint, and transformers' own model of it."""
    folder = tmp_path_factory.mktemp("bert")
    return folder, write_checkpoint(folder, seed=1)


@pytest.fixture(scope="session")
def tokenizer(bert: tuple[Path, BertForSequenceClassification]) -> PairTokenizer:
    return PairTokenizer.from_folder(bert[0])


@pytest.fixture(scope="session")
def stock(bert: tuple[Path, BertForSequenceClassification]) -> PreTrainedTokenizerBase:
    """The stock pair encoding of the same vocabulary."""
    stock: PreTrainedTokenizerBase = BertTokenizer.from_pretrained(bert[0])
    return stock


@pytest.fixture(scope="session")
def real_tokenizer(real_models: Path) -> PairTokenizer:
    return PairTokenizer.from_folder(real_models / "ms-marco-MiniLM-L12-v2")


@pytest.fixture(scope="session")
def real_stock(real_models: Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(real_models / "ms-marco-MiniLM-L12-v2")


@pytest.fixture(scope="module")
def engine(bert: tuple[Path, Any], catalog: Catalog) -> TorchEngine:
    return TorchEngine.load(catalog.in_dtype("fp32").variants["minilm-l6"], bert[0], "cpu", pad_id=0)


@pytest.fixture
def hub(tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that huggingface_hub talks to: a small checkpoint in the place of tinybert-l2-v2, and of any other."""
    source = tmp_path / "hub"
    write_checkpoint(source, seed=1)
    with hub_server(source, catalog.variants["tinybert-l2-v2"].revision) as hub:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.5)
        monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1_000)  # written at once; else 10 MB
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
        template = f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        yield hub
