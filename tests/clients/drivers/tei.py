"""tei-client, which asks what the server is before each kind of call."""

from drivers.conversation import converse
from tei_client import HttpClient


def _client(url: str, key: str) -> HttpClient:
    return HttpClient(url, headers={"Authorization": f"Bearer {key}"})


def info(url: str, key: str) -> object:
    """`HttpClient.info`, through the package's model."""
    return _client(url, key).info().model_dump(mode="json")


def rerank(url: str, key: str, **asked: object) -> object:
    """`HttpClient.rerank`."""
    return [rank.model_dump(exclude_none=True) for rank in _client(url, key).rerank(**asked).ranks]


converse({"info": info, "rerank": rerank})
