import random
from pathlib import Path

import pytest

from serve_app.catalog import Catalog
from serve_app.scorer.loading import LoadedModel, load_folder
from tests.checkpoints import WORDS, write_checkpoint
from training.corpus import Corpus, Retrieved


@pytest.fixture(scope="session")
def corpus() -> Corpus:
    """300 passages of small words, and queries like them."""
    rng = random.Random(0)
    sentences = [" ".join(rng.choices(WORDS, k=6)) for _ in range(900)]
    passages = [". ".join(sentences[n : n + 3]) + f". What is number {n}?" for n in range(0, 900, 3)]
    queries = [" ".join(rng.sample(WORDS, 3)) for _ in range(60)]
    retrieved = [Retrieved(f"{query} {n}", rng.sample(range(300), 20)) for n, query in enumerate(queries)]
    return Corpus(passages, queries, retrieved)


@pytest.fixture(scope="session")
def teacher(tmp_path_factory: pytest.TempPathFactory, catalog: Catalog) -> LoadedModel:
    """A small random cross-encoder in the teacher's place."""
    folder = tmp_path_factory.mktemp("teacher")
    write_checkpoint(folder, seed=1)
    return load_folder(catalog.in_dtype("fp32").variants["minilm-l12"], Path(folder), "cpu")
