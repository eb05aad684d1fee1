"""cohere 7: `Client` over v1 and `ClientV2` over v2."""

import time

import pytest

from tests.clients.asking import DOCUMENTS, MODEL, Expected, busy, is_readable, question, refused, scores, texts
from tests.clients.driver import Driver
from tests.clients.server import ServerAddress

pytestmark = pytest.mark.clients
DRIVER = "cohere"
PREFIXES = pytest.mark.parametrize("prefix", ["", "/cohere"])
VERSIONS = pytest.mark.parametrize("version", ["v1", "v2"])


@PREFIXES
@VERSIONS
def test_the_ranking(driver: Driver, server: ServerAddress, expected: Expected, version: str, prefix: str) -> None:
    reply = driver.returns(version, url=server.url + prefix, **question(server, model=MODEL))
    assert scores(reply["results"]) == expected.scores
    assert server.recorder.seen[-1].path == f"{prefix}/{version}/rerank"


@PREFIXES
@VERSIONS
def test_the_best(driver: Driver, server: ServerAddress, expected: Expected, version: str, prefix: str) -> None:
    reply = driver.returns(version, url=server.url + prefix, **question(server, model=MODEL, top_n=2))
    assert scores(reply["results"]) == expected.scores[:2]


@PREFIXES
@VERSIONS
def test_billed_units(driver: Driver, server: ServerAddress, expected: Expected, version: str, prefix: str) -> None:
    reply = driver.returns(version, url=server.url + prefix, **question(server, model=MODEL))
    assert reply["meta"]["billed_units"]["search_units"] == expected.search_units
    assert reply["id"]


@PREFIXES
def test_v1_returns_documents(driver: Driver, server: ServerAddress, expected: Expected, prefix: str) -> None:
    asked = question(server, model=MODEL, return_documents=True)
    reply = driver.returns("v1", url=server.url + prefix, **asked)
    assert texts(reply["results"]) == [DOCUMENTS[index] for index, _ in expected.scores]


@PREFIXES
def test_v1_ranks_objects_by_their_fields(
    driver: Driver, server: ServerAddress, expected: Expected, prefix: str
) -> None:
    objects = [{"title": title, "text": "all the same"} for title in DOCUMENTS]
    asked = question(server, documents=objects, model=MODEL, rank_fields=["title"], max_chunks_per_doc=10)
    reply = driver.returns("v1", url=server.url + prefix, **asked)
    assert scores(reply["results"]) == expected.scores


@PREFIXES
def test_v2_takes_a_limit_of_tokens(driver: Driver, server: ServerAddress, expected: Expected, prefix: str) -> None:
    asked = question(server, model=MODEL, max_tokens_per_doc=4096)
    reply = driver.returns("v2", url=server.url + prefix, **asked)
    assert scores(reply["results"]) == expected.scores


@PREFIXES
@VERSIONS
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
def test_refusals(driver: Driver, server: ServerAddress, version: str, prefix: str, status: int, error: str) -> None:
    with refused(server, status) as asked:
        raised = driver.raises(version, url=server.url + prefix, **asked)
    assert raised.status == status
    assert raised.is_a(f"cohere:{error}")
    assert is_readable(raised, status)


@VERSIONS
def test_it_comes_back_after_429(driver: Driver, server: ServerAddress, expected: Expected, version: str) -> None:
    with busy(server, until_refused=True) as tries:
        started = time.monotonic()
        asked = question(server, key=server.keys.narrow, model=MODEL, retries=2)
        reply = driver.returns(version, url=server.url, **asked)
        took_s = time.monotonic() - started
    assert tries() == [429, 200]
    assert took_s > 0.5, "it did not wait"
    assert scores(reply["results"]) == expected.scores
