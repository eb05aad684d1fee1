"""LangChain's compressors: they return the documents themselves, with a score in their metadata."""

from dataclasses import dataclass

import pytest

from tests.clients.asking import DOCUMENTS, MODEL, Expected, is_readable, question, refused, scores
from tests.clients.driver import Driver
from tests.clients.server import ServerAddress

pytestmark = pytest.mark.clients
DRIVER = "langchain"


@dataclass(frozen=True)
class Compressor:
    """A compressor, what it is given as URL, and the path that it makes of it."""

    name: str
    given: str
    path: str

    def __str__(self) -> str:
        return f"{self.name} {self.path}"


COHERE = Compressor("cohere", "", "/v2/rerank")
JINA = Compressor("jina", "/v1/rerank", "/v1/rerank")
COMPRESSORS = (
    COHERE,
    Compressor("cohere", "/cohere", "/cohere/v2/rerank"),
    JINA,
    Compressor("jina", "/jina/v1/rerank", "/jina/v1/rerank"),
    Compressor("infinity", "", "/rerank"),
    Compressor("infinity", "/infinity", "/infinity/rerank"),
)
NVIDIA = pytest.mark.parametrize("base", ["/v1", "/nim/v1"])


@pytest.mark.parametrize("compressor", COMPRESSORS, ids=str)
def test_the_ranking(driver: Driver, server: ServerAddress, expected: Expected, compressor: Compressor) -> None:
    asked = question(server, model=MODEL)
    reply = driver.returns(compressor.name, url=server.url + compressor.given, **asked)
    assert scores(reply) == expected.scores
    assert server.recorder.seen[-1].path == compressor.path


@pytest.mark.parametrize("compressor", COMPRESSORS, ids=str)
def test_the_best(driver: Driver, server: ServerAddress, expected: Expected, compressor: Compressor) -> None:
    asked = question(server, model=MODEL, top_n=2)
    reply = driver.returns(compressor.name, url=server.url + compressor.given, **asked)
    assert scores(reply) == expected.scores[:2]


@NVIDIA
def test_nvidia_reads_logits(driver: Driver, server: ServerAddress, expected: Expected, base: str) -> None:
    reply = driver.returns("nvidia", url=server.url + base, **question(server, model=MODEL, top_n=3))
    assert scores(reply["results"]) == expected.logits[:3]


@NVIDIA
def test_nvidia_takes_a_model_of_the_listing(driver: Driver, server: ServerAddress, base: str) -> None:
    reply = driver.returns("nvidia", url=server.url + base, **question(server))
    assert len(reply["results"]) == len(DOCUMENTS)
    assert server.recorder.seen[-1].body["model"] == reply["model"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, "UnauthorizedError"),
        (403, "ForbiddenError"),
        (404, "NotFoundError"),
        (422, "UnprocessableEntityError"),
        (429, "TooManyRequestsError"),
    ],
)
def test_cohere_refusals(driver: Driver, server: ServerAddress, status: int, error: str) -> None:
    with refused(server, status) as asked:
        raised = driver.raises("cohere", url=server.url, **asked)
    assert raised.is_a(f"cohere:{error}")
    assert is_readable(raised, status)


@pytest.mark.parametrize("given", ["/v1/rerank", "/jina/v1/rerank"])
@pytest.mark.parametrize("status", [401, 403, 404, 422, 429])
def test_jina_refusals(driver: Driver, server: ServerAddress, status: int, given: str) -> None:
    with refused(server, status) as asked:
        raised = driver.raises("jina", url=server.url + given, **asked)
    assert raised.is_a("builtins:RuntimeError")  # it raises what the reply has in `detail`
    assert is_readable(raised, status)


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_infinity_refusals(driver: Driver, server: ServerAddress, status: int) -> None:
    with refused(server, status) as asked:
        raised = driver.raises("infinity", url=f"{server.url}/infinity", **asked)
    assert raised.is_a("infinity_client:UnexpectedStatus")
    assert is_readable(raised, status)


@NVIDIA
@pytest.mark.parametrize("status", [401, 403, 404, 422, 429])
def test_nvidia_refusals(driver: Driver, server: ServerAddress, status: int, base: str) -> None:
    with refused(server, status) as asked:
        raised = driver.raises("nvidia", url=server.url + base, **asked)
    assert raised.is_a("builtins:Exception")
    assert str(status) in raised.message
    assert is_readable(raised, status)
