"""openai: the model listing, and a path that the package does not know."""

from typing import Any

import openai
from drivers.conversation import converse


def _client(url: str, key: str, retries: int) -> openai.OpenAI:
    return openai.OpenAI(base_url=url, api_key=key, max_retries=retries)


def models(url: str, key: str) -> object:
    """`models.list`, as the fields that the package declares."""
    return [_model(model) for model in _client(url, key, 0).models.list()]


def model(url: str, key: str, name: str) -> object:
    """`models.retrieve`."""
    return _model(_client(url, key, 0).models.retrieve(name))


def rerank(url: str, key: str, retries: int = 0, **asked: object) -> object:
    """`post("/rerank")`, with the package's own retries and errors."""
    reply = _client(url, key, retries).post("/rerank", body=asked, cast_to=dict[str, Any])
    for result in reply["results"]:
        result["score"] = result.pop("relevance_score")
    return reply


def _model(model: openai.types.Model) -> dict[str, object]:
    return {name: getattr(model, name) for name in ("id", "object", "created", "owned_by")}


converse({"models": models, "model": model, "rerank": rerank})
