"""voyageai: scores, documents, tokens, and its own errors."""

import pytest

from tests.clients.asking import DOCUMENTS, MODEL, Expected, busy, is_readable, question, refused, scores, texts
from tests.clients.driver import Driver
from tests.clients.server import ServerAddress

pytestmark = pytest.mark.clients
DRIVER = "voyage"
BASES = pytest.mark.parametrize("base", ["/v1", "/voyage", "/voyage/v1"])


@BASES
def test_the_ranking(driver: Driver, server: ServerAddress, expected: Expected, base: str) -> None:
    reply = driver.returns("rerank", url=server.url + base, **question(server, model=MODEL))
    assert scores(reply["results"]) == expected.scores
    assert texts(reply["results"]) == [DOCUMENTS[index] for index, _ in expected.scores]
    assert reply["total_tokens"] == expected.usage["total_tokens"]
    assert server.recorder.seen[-1].path == f"{base}/rerank"


@BASES
def test_the_best(driver: Driver, server: ServerAddress, expected: Expected, base: str) -> None:
    reply = driver.returns("rerank", url=server.url + base, **question(server, model=MODEL, top_k=2))
    assert scores(reply["results"]) == expected.scores[:2]


@BASES
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, "AuthenticationError"),
        (403, "APIError"),
        (404, "APIError"),
        (422, "MalformedRequestError"),
        (429, "RateLimitError"),
    ],
)
def test_refusals(driver: Driver, server: ServerAddress, base: str, status: int, error: str) -> None:
    with refused(server, status) as asked:
        raised = driver.raises("rerank", url=server.url + base, **asked)
    assert raised.status == status
    assert raised.is_a(f"voyageai:{error}")
    assert is_readable(raised, status)


def test_it_comes_back_when_told_to_retry(driver: Driver, server: ServerAddress, expected: Expected) -> None:
    with busy(server, until_refused=True) as tries:
        asked = question(server, key=server.keys.narrow, model=MODEL, retries=3)
        reply = driver.returns("rerank", url=f"{server.url}/voyage", **asked)
    assert tries() == [429, 200]
    assert scores(reply["results"]) == expected.scores
