from pathlib import Path

import pytest
from transformers import AutoTokenizer, BertForSequenceClassification, BertTokenizer, PreTrainedTokenizerBase

from serve_app.scorer.tokenizer import PairTokenizer
from tests.checkpoints import write_checkpoint


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
