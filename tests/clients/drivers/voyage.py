"""voyageai: `Client.rerank`."""

import voyageai
from drivers.conversation import converse


def rerank(url: str, key: str, retries: int = 1, **asked: object) -> object:
    """`Client.rerank`; the package counts the first try among its retries."""
    reply = voyageai.Client(api_key=key, base_url=url, max_retries=retries).rerank(**asked)
    results = [
        {"index": result.index, "score": result.relevance_score, "text": result.document} for result in reply.results
    ]
    return {"results": results, "total_tokens": reply.total_tokens}


converse({"rerank": rerank})
