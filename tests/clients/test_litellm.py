"""LiteLLM: eight providers' ways to rerank, each with its path, its reading of the reply, its cost and its errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from tests.clients.asking import DOCUMENTS, MODEL, MODEL_ID, Expected, is_readable, question, refused, scores, texts
from tests.clients.driver import Driver
from tests.clients.server import ServerAddress

pytestmark = pytest.mark.clients
DRIVER = "litellm"
ERRORS = {
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    422: "BadRequestError",
    429: "RateLimitError",
}
PLAIN = {403: "APIError"}
"""Of the providers that it treats as OpenAI's likes."""


@dataclass(frozen=True)
class Provider:
    """A prefix of LiteLLM's model names, and what it makes of our URL."""

    name: str
    prefix: str
    path: str
    documents: bool = True
    raw: bool = False
    """Whether it reads logits."""
    names_a_model: bool = True
    cuts: bool = True
    """Whether `top_n` shortens what it returns."""
    errors: Mapping[int, str] = field(default_factory=dict)
    """What it raises instead of ERRORS."""

    def __str__(self) -> str:
        return f"{self.name}{self.prefix}"


PROVIDERS = (
    Provider("cohere", "", "/v2/rerank", documents=False),
    Provider("cohere", "/cohere", "/cohere/v2/rerank", documents=False),
    Provider("jina_ai", "", "/v1/rerank"),
    Provider("infinity", "/infinity", "/infinity/rerank"),
    Provider("hosted_vllm", "", "/rerank", errors=PLAIN),
    Provider("hosted_vllm", "/vllm", "/vllm/rerank", errors=PLAIN),
    Provider("huggingface", "", "/rerank", names_a_model=False, cuts=False, errors={422: "APIError"}),
    Provider("huggingface", "/tei", "/tei/rerank", names_a_model=False, cuts=False, errors={422: "APIError"}),
    Provider("voyage", "/voyage", "/voyage/v1/rerank"),
    Provider("nvidia_nim", "", f"/v1/retrieval/{MODEL}/reranking", documents=False, raw=True, errors=PLAIN),
    Provider("nvidia_nim", "/nim", f"/nim/v1/retrieval/{MODEL}/reranking", documents=False, raw=True, errors=PLAIN),
    Provider("nvidia_nim/ranking", "", "/v1/ranking", documents=False, raw=True, errors=PLAIN),
    Provider("nvidia_nim/ranking", "/nim", "/nim/v1/ranking", documents=False, raw=True, errors=PLAIN),
)
EVERY = pytest.mark.parametrize("provider", PROVIDERS, ids=str)


@EVERY
def test_the_ranking(driver: Driver, server: ServerAddress, expected: Expected, provider: Provider) -> None:
    asked = question(server, model=f"{provider.name}/{MODEL}", return_documents=False)
    reply = driver.returns("rerank", url=server.url + provider.prefix, **asked)
    assert scores(reply["results"]) == (expected.logits if provider.raw else expected.scores)
    assert server.recorder.seen[-1].path == provider.path


@EVERY
def test_the_best(driver: Driver, server: ServerAddress, expected: Expected, provider: Provider) -> None:
    asked = question(server, model=f"{provider.name}/{MODEL}", top_n=2)
    reply = driver.returns("rerank", url=server.url + provider.prefix, **asked)
    assert scores(reply["results"])[:2] == (expected.logits if provider.raw else expected.scores)[:2]
    assert len(reply["results"]) == 2 or not provider.cuts


def test_voyage_is_known_by_its_top_k(driver: Driver, server: ServerAddress, expected: Expected) -> None:
    reply = driver.returns("rerank", url=server.url, **question(server, model=f"voyage/{MODEL}", top_n=2))
    assert scores(reply["results"]) == expected.scores[:2]
    assert server.recorder.seen[-1].path == "/v1/rerank"


def test_nvidia_nim_has_a_hub_id_in_its_path(driver: Driver, server: ServerAddress, expected: Expected) -> None:
    reply = driver.returns("rerank", url=server.url, **question(server, model=f"nvidia_nim/{MODEL_ID}"))
    assert scores(reply["results"]) == expected.logits
    assert server.recorder.seen[-1].path == f"/v1/retrieval/{MODEL_ID}/reranking"


def test_a_key_may_speak_infinity(driver: Driver, server: ServerAddress, expected: Expected) -> None:
    """Infinity and vLLM send the same to the same path, and each fails on the other's documents."""
    asked = question(server, key=server.keys.infinity, model=f"infinity/{MODEL}", return_documents=True)
    reply = driver.returns("rerank", url=server.url, **asked)
    assert texts(reply["results"]) == [DOCUMENTS[index] for index, _ in expected.scores]


@pytest.mark.parametrize("provider", [provider for provider in PROVIDERS if provider.documents], ids=str)
def test_documents(driver: Driver, server: ServerAddress, expected: Expected, provider: Provider) -> None:
    asked = question(server, model=f"{provider.name}/{MODEL}", return_documents=True)
    reply = driver.returns("rerank", url=server.url + provider.prefix, **asked)
    assert texts(reply["results"]) == [DOCUMENTS[index] for index, _ in expected.scores]


@pytest.mark.parametrize("provider", [provider for provider in PROVIDERS if provider.name == "cohere"], ids=str)
def test_cost_by_search_units(driver: Driver, server: ServerAddress, expected: Expected, provider: Provider) -> None:
    asked = question(server, model=f"{provider.name}/{MODEL}", price={"input_cost_per_query": 0.002})
    reply = driver.returns("rerank", url=server.url + provider.prefix, **asked)
    assert reply["meta"]["billed_units"]["search_units"] == expected.search_units
    assert reply["cost"] == pytest.approx(0.002 * expected.search_units)


@pytest.mark.parametrize(
    "provider", [provider for provider in PROVIDERS if provider.name in ("jina_ai", "voyage")], ids=str
)
def test_cost_by_tokens(driver: Driver, server: ServerAddress, expected: Expected, provider: Provider) -> None:
    asked = question(server, model=f"{provider.name}/{MODEL}", price={"input_cost_per_token": 0.5})
    reply = driver.returns("rerank", url=server.url + provider.prefix, **asked)
    assert reply["cost"] == pytest.approx(0.5 * expected.usage["total_tokens"])


@pytest.mark.parametrize(
    "provider", [provider for provider in PROVIDERS if not provider.name.startswith(("cohere", "huggingface"))], ids=str
)
def test_tokens(driver: Driver, server: ServerAddress, expected: Expected, provider: Provider) -> None:
    asked = question(server, model=f"{provider.name}/{MODEL}")
    reply = driver.returns("rerank", url=server.url + provider.prefix, **asked)
    assert reply["meta"]["billed_units"]["total_tokens"] == expected.usage["total_tokens"]


@pytest.mark.parametrize(
    ("provider", "status"),
    [
        pytest.param(provider, status, id=f"{provider}-{status}")
        for provider in PROVIDERS
        for status in ERRORS
        if provider.names_a_model or status not in (403, 404)
    ],
)
def test_refusals(driver: Driver, server: ServerAddress, provider: Provider, status: int) -> None:
    with refused(server, status) as asked:
        asked["model"] = f"{provider.name}/{asked['model']}"
        raised = driver.raises("rerank", url=server.url + provider.prefix, **asked)
    assert raised.is_a(f"litellm:{provider.errors.get(status, ERRORS[status])}")
    assert raised.status == status
    assert is_readable(raised, status)
