"""xinference-client: it asks whether keys are used, what a model is, and only then reranks."""

from drivers.conversation import converse
from xinference_client import RESTfulClient


def rerank(url: str, key: str | None, model: str, **asked: object) -> object:
    """`get_model(uid).rerank`."""
    reply = RESTfulClient(url, api_key=key).get_model(model).rerank(**asked)
    for result in reply["results"]:
        result["score"] = result.pop("relevance_score")
        if result.get("document") is not None:
            result["text"] = result.pop("document")["text"]
    return reply


converse({"rerank": rerank})
