"""openai: the listing, one model, and a rerank with the package's retries and errors."""

import time

import pytest

from tests.clients.asking import MODEL, MODEL_ID, Expected, busy, is_readable, question, refused, scores
from tests.clients.driver import Driver
from tests.clients.server import ServerAddress

pytestmark = pytest.mark.clients
DRIVER = "openai"


def test_the_listing(driver: Driver, server: ServerAddress) -> None:
    models = driver.returns("models", url=f"{server.url}/v1", key=server.keys.valid)
    assert MODEL_ID in [model["id"] for model in models]
    for model in models:
        assert model["object"] == "model"
        assert isinstance(model["created"], int)
        assert model["owned_by"]


@pytest.mark.parametrize("name", [MODEL, MODEL_ID])
def test_one_model(driver: Driver, server: ServerAddress, name: str) -> None:
    model = driver.returns("model", url=f"{server.url}/v1", key=server.keys.valid, name=name)
    assert model["id"] == MODEL_ID


def test_a_model_that_is_not_there(driver: Driver, server: ServerAddress) -> None:
    raised = driver.raises("model", url=f"{server.url}/v1", key=server.keys.valid, name="no-such-model")
    assert raised.is_a("openai:NotFoundError")
    assert is_readable(raised, 404)


def test_the_listing_needs_a_key(driver: Driver, server: ServerAddress) -> None:
    raised = driver.raises("models", url=f"{server.url}/v1", key=server.keys.wrong)
    assert raised.is_a("openai:AuthenticationError")
    assert is_readable(raised, 401)


def test_the_ranking(driver: Driver, server: ServerAddress, expected: Expected) -> None:
    reply = driver.returns("rerank", url=f"{server.url}/v1", **question(server, model=MODEL, top_n=3))
    assert scores(reply["results"]) == expected.scores[:3]
    assert reply["usage"] == expected.usage


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, "AuthenticationError"),
        (403, "PermissionDeniedError"),
        (404, "NotFoundError"),
        (422, "UnprocessableEntityError"),
        (429, "RateLimitError"),
    ],
)
def test_refusals(driver: Driver, server: ServerAddress, status: int, error: str) -> None:
    with refused(server, status) as asked:
        raised = driver.raises("rerank", url=f"{server.url}/v1", **asked)
    assert raised.status == status
    assert raised.is_a(f"openai:{error}")
    assert is_readable(raised, status)


def test_it_comes_back_after_429(driver: Driver, server: ServerAddress, expected: Expected) -> None:
    with busy(server, until_refused=True) as tries:
        started = time.monotonic()
        asked = question(server, key=server.keys.narrow, model=MODEL, retries=2)
        reply = driver.returns("rerank", url=f"{server.url}/v1", **asked)
        took_s = time.monotonic() - started
    assert tries() == [429, 200]
    assert server.recorder.seen[-1].headers["x-stainless-retry-count"] == "1"
    assert took_s > 0.5, "it did not wait"
    assert scores(reply["results"]) == expected.scores
