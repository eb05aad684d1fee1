"""tei-client, which checks what the server is before it reranks."""

import pytest

from tests.clients.asking import DOCUMENTS, Expected, question, refused, scores, texts
from tests.clients.driver import Driver
from tests.clients.server import LIMITS, ServerAddress

pytestmark = pytest.mark.clients
DRIVER = "tei"
PREFIXES = pytest.mark.parametrize("prefix", ["", "/tei"])


@PREFIXES
def test_info(driver: Driver, server: ServerAddress, prefix: str) -> None:
    info = driver.returns("info", url=server.url + prefix, key=server.keys.valid)
    assert info["server_model_type"] == "reranker"
    assert info["max_input_length"] == 512
    assert info["max_client_batch_size"] == LIMITS.max_documents


@PREFIXES
def test_the_ranking(driver: Driver, server: ServerAddress, expected: Expected, prefix: str) -> None:
    reply = driver.returns("rerank", url=server.url + prefix, **_asked(server, return_text=True))
    assert scores(reply) == expected.scores
    assert texts(reply) == [DOCUMENTS[index] for index, _ in expected.scores]


@PREFIXES
def test_logits(driver: Driver, server: ServerAddress, expected: Expected, prefix: str) -> None:
    reply = driver.returns("rerank", url=server.url + prefix, **_asked(server, raw_scores=True, truncate=True))
    assert scores(reply) == expected.logits


@pytest.mark.parametrize("status", [401, 422, 429])
def test_it_fails_on_a_refusal(driver: Driver, server: ServerAddress, status: int) -> None:
    with refused(server, status) as asked:
        asked["texts"] = asked.pop("documents")
        del asked["model"]
        driver.raises("rerank", url=server.url, **asked)  # it reads no status: what it raises tells nothing
        assert server.recorder.seen[-1].status == status


def _asked(server: ServerAddress, **more: object) -> dict[str, object]:
    asked = question(server, **more)
    asked["texts"] = asked.pop("documents")
    return asked
