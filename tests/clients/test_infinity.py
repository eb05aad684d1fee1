"""infinity-client, whose types check the reply."""

import pytest

from tests.clients.asking import DOCUMENTS, MODEL, MODEL_ID, Expected, is_readable, question, refused, scores, texts
from tests.clients.driver import Driver
from tests.clients.server import ServerAddress

pytestmark = pytest.mark.clients
DRIVER = "infinity"


@pytest.mark.parametrize("prefix", ["", "/infinity"])
def test_the_ranking(driver: Driver, server: ServerAddress, expected: Expected, prefix: str) -> None:
    reply = driver.returns("rerank", url=server.url + prefix, **question(server, model=MODEL, top_n=3))
    assert scores(reply["results"]) == expected.scores[:3]
    assert reply["model"] == MODEL_ID
    assert reply["usage"]["total_tokens"] == expected.usage["total_tokens"]


def test_logits(driver: Driver, server: ServerAddress, expected: Expected) -> None:
    asked = question(server, model=MODEL, raw_scores=True)
    assert scores(driver.returns("rerank", url=f"{server.url}/infinity", **asked)["results"]) == expected.logits


def test_documents_are_strings(driver: Driver, server: ServerAddress, expected: Expected) -> None:
    asked = question(server, model=MODEL, return_documents=True)
    reply = driver.returns("rerank", url=f"{server.url}/infinity", **asked)
    assert texts(reply["results"]) == [DOCUMENTS[index] for index, _ in expected.scores]


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_refusals(driver: Driver, server: ServerAddress, status: int) -> None:
    with refused(server, status) as asked:
        raised = driver.raises("rerank", url=f"{server.url}/infinity", **asked)
    assert raised.status == status
    assert raised.is_a("infinity_client:UnexpectedStatus")
    assert is_readable(raised, status)


def test_it_reads_422_as_fastapi_writes_it(driver: Driver, server: ServerAddress) -> None:
    with refused(server, 422) as asked:
        reply = driver.returns("rerank", url=f"{server.url}/infinity", **asked)
    assert "21 " in str(reply)
