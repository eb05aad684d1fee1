"""Each error in each dialect, in the shape that the dialect's clients parse."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from serve_app.errors import Overloaded, RerankError, WeightsUnavailable
from serve_app.router.caller import Allowance, Caller
from tests.router.building import House

pytestmark = pytest.mark.anyio
CALLERS: dict[str | None, Caller] = {
    "good": Caller("good"),
    "narrow": Caller("narrow", models=frozenset({"minilm-l12"})),
    "spent": Caller("spent", monthly_budget_usd=1e-9),
    "slow": Caller("slow", allowance=Allowance(requests_per_minute=1)),
}


def _documents(texts: list[str], model: str) -> dict[str, Any]:
    return {"model": model, "query": "q", "documents": texts}


def _texts(texts: list[str], model: str) -> dict[str, Any]:
    return {"model": model, "query": "q", "texts": texts}


def _passages(texts: list[str], model: str) -> dict[str, Any]:
    return {"model": model, "query": {"text": "q"}, "passages": [{"text": text} for text in texts]}


def _pairs(texts: list[str], model: str) -> dict[str, Any]:
    return {"model": model, "text_1": "q", "text_2": texts}


def _message_of_native(reply: Any) -> str:
    assert set(reply) == {"error", "message", "detail"}
    assert set(reply["error"]) == {"message", "type", "param", "code"}
    assert reply["error"]["message"] == reply["message"] == reply["detail"]
    return str(reply["message"])


def _message(reply: Any) -> str:
    assert set(reply) == {"message"}
    return str(reply["message"])


def _detail(reply: Any) -> str:
    assert set(reply) == {"detail"}
    return str(reply["detail"])


def _openai(reply: Any) -> str:
    assert set(reply["error"]) == {"message", "type", "param", "code"}
    assert isinstance(reply["error"]["code"], int)
    return str(reply["error"]["message"])


def _tei(reply: Any) -> str:
    assert set(reply) == {"error", "error_type"}
    assert reply["error_type"] in {"Unhealthy", "Backend", "Overloaded", "Validation"}
    return str(reply["error"])


def _nim(reply: Any) -> str:
    assert {"object", "title", "message", "detail", "code"} <= set(reply)
    return str(reply["detail"])


PLACES: dict[str, tuple[Callable[[list[str], str], dict[str, Any]], Callable[[Any], str]]] = {
    "/v1/rerank": (_documents, _message_of_native),
    "/rerank": (_documents, _message_of_native),
    "/cohere/v1/rerank": (_documents, _message),
    "/v2/rerank": (_documents, _message),
    "/jina/v1/rerank": (_documents, _detail),
    "/tei/rerank": (_texts, _tei),
    "/vllm/rerank": (_documents, _openai),
    "/v1/score": (_pairs, _openai),
    "/v1/ranking": (_passages, _nim),
    "/voyage/v1/rerank": (_documents, _detail),
    "/infinity/rerank": (_documents, _openai),
    "/xinference/v1/rerank": (_documents, _detail),
}


@pytest.fixture(params=PLACES)
def path(request: pytest.FixtureRequest) -> str:
    place: str = request.param
    return place


async def _asked(
    path: str, house: House, key: str = "good", texts: int = 2, model: str = "minilm-l6"
) -> httpx.Response:
    make, _ = PLACES[path]
    async with house.client() as client:
        return await client.post(path, json=make(["a"] * texts, model), headers={"authorization": key})


def _told(path: str, response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    _, message_of = PLACES[path]
    return message_of(response.json())


async def test_400_not_json(path: str) -> None:
    async with House(CALLERS).client() as client:
        response = await client.post(path, content=b"{", headers={"authorization": "good"})
    assert "not JSON" in _told(path, response, 400)


async def test_401_without_a_valid_key(path: str) -> None:
    response = await _asked(path, House(CALLERS), key="wrong")
    assert "not valid" in _told(path, response, 401)
    assert response.headers["www-authenticate"] == "Bearer"


async def test_402_when_the_budget_is_spent(path: str) -> None:
    house = House(CALLERS)
    assert (await _asked(path, house, key="spent")).status_code == 200
    assert "has spent its $1e-09" in _told(path, await _asked(path, house, key="spent"), 402)


async def test_403_for_a_model_that_the_key_may_not_use(path: str) -> None:
    house = House(CALLERS)
    assert "may not use cross-encoder/ms-marco-MiniLM-L6-v2" in _told(
        path, await _asked(path, house, key="narrow"), 403
    )
    assert (await _asked(path, house, key="narrow", model="minilm-l12")).status_code == 200


async def test_404_for_an_unknown_model(path: str) -> None:
    response = await _asked(path, House(CALLERS), model="minilm-l7")
    assert "there is no model 'minilm-l7'; the nearest names are minilm-l" in _told(path, response, 404)


async def test_413_for_a_large_body(path: str) -> None:
    async with House(CALLERS).client() as client:
        response = await client.post(path, content=b"x" * 6_000, headers={"authorization": "good"})
    assert "larger than the limit of 5000 bytes" in _told(path, response, 413)


async def test_422_for_too_many_documents(path: str) -> None:
    response = await _asked(path, House(CALLERS), texts=21)
    assert "21 documents are more than the 20" in _told(path, response, 422)


async def test_429_over_the_limit_of_a_key(path: str) -> None:
    house = House(CALLERS)
    first = await _asked(path, house, key="slow")
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    second = await _asked(path, house, key="slow")
    assert "may send 1 requests a minute" in _told(path, second, 429)
    assert 1 <= int(second.headers["retry-after"]) <= 61
    assert int(second.headers["retry-after-ms"]) <= 1_000 * int(second.headers["retry-after"])
    assert second.headers["x-ratelimit-limit-requests"] == "1"


@pytest.mark.parametrize(
    ("failure", "status", "after"),
    [(Overloaded("busy", retry_after_s=2.5), 429, "3"), (WeightsUnavailable("no weights"), 503, None)],
)
async def test_what_the_scorers_say(path: str, failure: RerankError, status: int, after: str | None) -> None:
    house = House(CALLERS)
    house.scorers.failure = failure
    response = await _asked(path, house)
    assert _told(path, response, status) == failure.message
    assert response.headers.get("retry-after") == after


async def test_a_body_that_tells_its_dialect_gets_its_errors() -> None:
    async with House(CALLERS).client() as client:
        for body, message_of in ((_texts, _tei), (_passages, _nim)):
            response = await client.post("/rerank", json=body(["a"], "none"), headers={"authorization": "good"})
            assert response.status_code == 404
            assert "there is no model" in message_of(response.json())
        weaviate = await client.post(
            "/rerank", json={"query": "", "documents": ["a"], "property": "p"}, headers={"authorization": "good"}
        )
        assert (weaviate.status_code, list(weaviate.json())) == (422, ["error"])


async def test_before_a_body_tells_it_is_in_the_dialect_of_its_key() -> None:
    async with House({"strings": Caller("strings", dialect="infinity")}).client() as client:
        response = await client.post("/rerank", content=b"{", headers={"authorization": "strings"})
    assert response.status_code == 400
    assert "not JSON" in _openai(response.json())
