"""llama-index's postprocessors: they return the nodes themselves, each with its new score."""

from dataclasses import dataclass

import pytest

from tests.clients.asking import DOCUMENTS, MODEL, MODEL_ID, Expected, is_readable, question, refused, scores
from tests.clients.driver import Driver
from tests.clients.server import ServerAddress

pytestmark = pytest.mark.clients
DRIVER = "llama_index"


@dataclass(frozen=True)
class Postprocessor:
    """A postprocessor, what it is given as URL, and the path that it makes of it."""

    name: str
    given: str
    path: str
    names_a_model: bool = True

    def __str__(self) -> str:
        return f"{self.name} {self.path}"


POSTPROCESSORS = (
    Postprocessor("tei", "", "/rerank", names_a_model=False),
    Postprocessor("tei", "/tei", "/tei/rerank", names_a_model=False),
    Postprocessor("tei", f"/models/{MODEL}", f"/models/{MODEL}/rerank", names_a_model=False),
    Postprocessor("tei", f"/models/{MODEL_ID}", f"/models/{MODEL_ID}/rerank", names_a_model=False),
    Postprocessor("jina", "/v1", "/v1/rerank"),
    Postprocessor("jina", "/jina/v1", "/jina/v1/rerank"),
    Postprocessor("cohere", "", "/v2/rerank"),
    Postprocessor("cohere", "/cohere", "/cohere/v2/rerank"),
    Postprocessor("siliconflow", "/v1/rerank", "/v1/rerank"),
)
NVIDIA = pytest.mark.parametrize("base", ["/v1", "/nim/v1"])


@pytest.mark.parametrize("top_n", [2, 4])
@pytest.mark.parametrize("postprocessor", POSTPROCESSORS, ids=str)
def test_the_ranking(
    driver: Driver, server: ServerAddress, expected: Expected, postprocessor: Postprocessor, top_n: int
) -> None:
    model = {"model": MODEL} if postprocessor.names_a_model else {}
    asked = question(server, **model, top_n=top_n)
    reply = driver.returns(postprocessor.name, url=server.url + postprocessor.given, **asked)
    assert scores(reply) == expected.scores[:top_n]
    assert server.recorder.seen[-1].path == postprocessor.path


def test_tei_sends_the_token_alone(driver: Driver, server: ServerAddress) -> None:
    driver.returns("tei", url=server.url, **question(server, top_n=1))
    assert server.recorder.seen[-1].headers["authorization"] == server.keys.valid


@NVIDIA
def test_nvidia_reads_logits(driver: Driver, server: ServerAddress, expected: Expected, base: str) -> None:
    reply = driver.returns("nvidia", url=server.url + base, **question(server, model=MODEL_ID, top_n=3))
    assert scores(reply["results"]) == expected.logits[:3]


@NVIDIA
def test_nvidia_takes_a_model_of_the_listing(driver: Driver, server: ServerAddress, base: str) -> None:
    reply = driver.returns("nvidia", url=server.url + base, **question(server, top_n=4))
    assert len(reply["results"]) == len(DOCUMENTS)
    assert server.recorder.seen[-1].body["model"] == reply["model"]


@pytest.mark.parametrize("prefix", ["", "/xinference"])
def test_xinference_sends_no_key(driver: Driver, open_server: ServerAddress, expected: Expected, prefix: str) -> None:
    asked = question(open_server, model=MODEL, top_n=3)
    del asked["key"]
    reply = driver.returns("xinference", url=open_server.url + prefix, **asked)
    assert scores(reply) == expected.scores[:3]
    assert "authorization" not in open_server.recorder.seen[-1].headers


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
        raised = driver.raises("cohere", url=server.url, top_n=4, **asked)
    assert raised.is_a(f"cohere:{error}")
    assert is_readable(raised, status)


@pytest.mark.parametrize("base", ["/v1", "/jina/v1"])
@pytest.mark.parametrize("status", [401, 403, 404, 422, 429])
def test_jina_refusals(driver: Driver, server: ServerAddress, status: int, base: str) -> None:
    with refused(server, status) as asked:
        raised = driver.raises("jina", url=server.url + base, top_n=4, **asked)
    assert raised.is_a("builtins:RuntimeError")  # it raises what the reply has in `detail`
    assert is_readable(raised, status)


@pytest.mark.parametrize("status", [401, 422, 429])
def test_tei_raises_without_a_sentence(driver: Driver, server: ServerAddress, status: int) -> None:
    with refused(server, status) as asked:
        del asked["model"]
        raised = driver.raises("tei", url=server.url, top_n=4, **asked)
    assert raised.is_a("builtins:AssertionError")  # it reads no status, and counts what it takes for scores


@NVIDIA
@pytest.mark.parametrize("status", [401, 422, 429])
def test_nvidia_raises_the_status(driver: Driver, server: ServerAddress, status: int, base: str) -> None:
    with refused(server, status) as asked:
        raised = driver.raises("nvidia", url=server.url + base, top_n=4, **{**asked, "model": MODEL_ID})
    assert raised.is_a("httpx:HTTPStatusError")
    assert raised.status == status


@NVIDIA
def test_nvidia_looks_the_model_up(driver: Driver, server: ServerAddress, base: str) -> None:
    with refused(server, 404) as asked:
        raised = driver.raises("nvidia", url=server.url + base, top_n=4, **asked)
    assert raised.is_a("builtins:ValueError")
    assert is_readable(raised, 404)
