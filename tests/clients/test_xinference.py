"""xinference-client: it asks whether keys are used, then what the model is, and only then reranks."""

import pytest

from tests.clients.asking import DOCUMENTS, MODEL, MODEL_ID, Expected, is_readable, question, refused, scores, texts
from tests.clients.driver import Driver
from tests.clients.server import ServerAddress

pytestmark = pytest.mark.clients
DRIVER = "xinference"
PREFIXES = pytest.mark.parametrize("prefix", ["", "/xinference"])


@PREFIXES
@pytest.mark.parametrize("model", [MODEL, MODEL_ID])
def test_the_ranking(driver: Driver, server: ServerAddress, expected: Expected, prefix: str, model: str) -> None:
    server.recorder.seen.clear()
    reply = driver.returns("rerank", url=server.url + prefix, **question(server, model=model, top_n=3))
    assert scores(reply["results"]) == expected.scores[:3]
    paths = [seen.path.removeprefix(prefix) for seen in server.recorder.seen]
    assert paths == ["/v1/cluster/auth", f"/v1/models/{model}", "/v1/rerank"]


@PREFIXES
def test_documents_and_lengths(driver: Driver, server: ServerAddress, expected: Expected, prefix: str) -> None:
    asked = question(server, model=MODEL, return_documents=True, return_len=True)
    reply = driver.returns("rerank", url=server.url + prefix, **asked)
    assert texts(reply["results"]) == [DOCUMENTS[index] for index, _ in expected.scores]
    assert reply["meta"]["tokens"]["input_tokens"] == expected.usage["total_tokens"]


def test_it_sends_no_key_in_open_mode(driver: Driver, open_server: ServerAddress, expected: Expected) -> None:
    reply = driver.returns("rerank", url=open_server.url, **question(open_server, model=MODEL))
    assert scores(reply["results"]) == expected.scores
    assert "authorization" not in open_server.recorder.seen[-1].headers


@PREFIXES
@pytest.mark.parametrize("status", [401, 403, 404, 422, 429])
def test_refusals(driver: Driver, server: ServerAddress, prefix: str, status: int) -> None:
    with refused(server, status) as asked:
        raised = driver.raises("rerank", url=server.url + prefix, **asked)
    assert raised.is_a("builtins:RuntimeError")
    assert is_readable(raised, status)
