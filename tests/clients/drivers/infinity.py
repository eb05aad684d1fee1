"""infinity-client: `rerank.sync`, and the listing."""

from drivers.conversation import converse
from infinity_client.api.default import rerank
from infinity_client.client import AuthenticatedClient
from infinity_client.models import RerankInput


def ask(url: str, key: str, **asked: object) -> object:
    """`rerank.sync`, as the dictionary that the package's types make of the reply."""
    client = AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True)
    reply = rerank.sync(client=client, body=RerankInput(**asked)).to_dict()
    for result in reply.get("results", []):
        result["score"] = result.pop("relevance_score")
        if result.get("document") is not None:
            result["text"] = result.pop("document")
    return reply


converse({"rerank": ask})
