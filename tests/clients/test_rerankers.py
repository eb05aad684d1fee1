"""rerankers' `APIRanker`, which is given each URL whole and reads no status."""

import pytest

from tests.clients.asking import MODEL, Expected, question, scores
from tests.clients.driver import Driver
from tests.clients.server import ServerAddress

pytestmark = pytest.mark.clients
DRIVER = "rerankers"


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        ("cohere", "/v1/rerank"),
        ("cohere", "/cohere/v1/rerank"),
        ("jina", "/v1/rerank"),
        ("jina", "/jina/v1/rerank"),
        ("voyage", "/v1/rerank"),
        ("voyage", "/voyage/v1/rerank"),
        ("text-embeddings-inference", "/rerank"),
        ("text-embeddings-inference", "/tei/rerank"),
    ],
)
def test_the_ranking(driver: Driver, server: ServerAddress, expected: Expected, provider: str, path: str) -> None:
    reply = driver.returns("rerank", url=server.url + path, **question(server, model=MODEL, provider=provider))
    assert scores(reply) == expected.scores
