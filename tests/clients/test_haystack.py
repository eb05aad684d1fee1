"""Haystack's rankers: they return the documents themselves, each with its new score."""

from dataclasses import dataclass

import pytest

from tests.clients.asking import DOCUMENTS, MODEL, MODEL_ID, Expected, is_readable, question, refused, scores
from tests.clients.driver import Driver
from tests.clients.keys import DEFAULT_OF_TINY
from tests.clients.server import ServerAddress

pytestmark = pytest.mark.clients
DRIVER = "haystack"


@dataclass(frozen=True)
class Ranker:
    """A ranker, what it is given as URL, the path that it makes of it, and what it raises."""

    name: str
    given: str
    path: str
    error: str
    raw: bool = False
    names_a_model: bool = True

    def __str__(self) -> str:
        return f"{self.name} {self.path}"


TEI = Ranker("tei", "", "/rerank", "builtins:RuntimeError", names_a_model=False)
VLLM = Ranker("vllm", "/v1", "/v1/rerank", "builtins:RuntimeError")
RANKERS = (
    TEI,
    Ranker("jina", "/v1/rerank", "/v1/rerank", "builtins:RuntimeError"),
    Ranker("jina", "/jina/v1/rerank", "/jina/v1/rerank", "builtins:RuntimeError"),
    VLLM,
    Ranker("vllm", "/vllm/v1", "/vllm/v1/rerank", "builtins:RuntimeError"),
    Ranker("cohere", "", "/v2/rerank", "cohere:ApiError"),
    Ranker("cohere", "/cohere", "/cohere/v2/rerank", "cohere:ApiError"),
    Ranker("nvidia", "/v1", "/v1/ranking", "builtins:ValueError", raw=True),
    Ranker("nvidia", "/nim/v1", "/nim/v1/ranking", "builtins:ValueError", raw=True),
)
EVERY = pytest.mark.parametrize("ranker", RANKERS, ids=str)


@EVERY
def test_the_ranking(driver: Driver, server: ServerAddress, expected: Expected, ranker: Ranker) -> None:
    reply = driver.returns(ranker.name, url=server.url + ranker.given, **_asked(server, ranker))
    assert scores(reply["results"]) == (expected.logits if ranker.raw else expected.scores)
    assert server.recorder.seen[-1].path == ranker.path


@EVERY
def test_the_best(driver: Driver, server: ServerAddress, expected: Expected, ranker: Ranker) -> None:
    reply = driver.returns(ranker.name, url=server.url + ranker.given, **_asked(server, ranker), top_k=2)
    assert scores(reply["results"]) == (expected.logits if ranker.raw else expected.scores)[:2]


def test_tei_gets_logits_when_it_asks(driver: Driver, server: ServerAddress, expected: Expected) -> None:
    reply = driver.returns("tei", url=server.url, **_asked(server, TEI), raw_scores=True)
    assert scores(reply["results"]) == expected.logits


def test_tei_is_answered_by_the_default_of_its_key(driver: Driver, server: ServerAddress) -> None:
    """It sends no model, and drops the path of its URL."""
    driver.returns("tei", url=f"{server.url}/models/{MODEL}", **question(server, key=server.keys.tiny))
    assert server.recorder.seen[-1].path == "/rerank"
    assert server.scorers.jobs[-1][0] == DEFAULT_OF_TINY


def test_vllm_tells_model_and_usage(driver: Driver, server: ServerAddress, expected: Expected) -> None:
    reply = driver.returns("vllm", url=f"{server.url}/v1", **_asked(server, VLLM))
    assert reply["meta"]["model"] == MODEL_ID
    assert reply["meta"]["usage"]["total_tokens"] == expected.usage["total_tokens"]


@pytest.mark.parametrize("base", ["/v1", "/nim/v1"])
def test_nvidia_may_leave_the_model_open(driver: Driver, server: ServerAddress, base: str) -> None:
    reply = driver.returns("nvidia", url=server.url + base, **question(server))
    assert len(reply["results"]) == len(DOCUMENTS)
    assert server.recorder.seen[-1].body["model"] is None


@pytest.mark.parametrize(
    ("ranker", "status"),
    [
        pytest.param(ranker, status, id=f"{ranker}-{status}")
        for ranker in RANKERS
        for status in (401, 403, 404, 422, 429)
        if ranker.names_a_model or status not in (403, 404)
    ],
)
def test_refusals(driver: Driver, server: ServerAddress, ranker: Ranker, status: int) -> None:
    with refused(server, status) as asked:
        if not ranker.names_a_model:
            del asked["model"]
        raised = driver.raises(ranker.name, url=server.url + ranker.given, **asked)
    assert raised.is_a(ranker.error)
    assert is_readable(raised, status)


def _asked(server: ServerAddress, ranker: Ranker) -> dict[str, object]:
    return question(server, model=MODEL) if ranker.names_a_model else question(server)
