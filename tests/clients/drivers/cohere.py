"""cohere: `Client` speaks v1, `ClientV2` speaks v2."""

import cohere
from drivers.conversation import converse


def v1(url: str, key: str, retries: int = 0, **asked: object) -> object:
    """`Client.rerank`."""
    reply = cohere.Client(key, base_url=url, max_retries=retries).rerank(**asked)
    return _told(reply)


def v2(url: str, key: str, retries: int = 0, **asked: object) -> object:
    """`ClientV2.rerank`."""
    reply = cohere.ClientV2(key, base_url=url, max_retries=retries).rerank(**asked)
    return _told(reply)


def _told(reply: object) -> object:
    said = reply.dict()
    for result in said["results"]:
        result["score"] = result.pop("relevance_score")
        if result.get("document"):
            result["text"] = result.pop("document")["text"]
    return said


converse({"v1": v1, "v2": v2})
