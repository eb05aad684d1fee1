"""rerankers (AnswerDotAI): `APIRanker`, one class for many providers, each at a URL that is given whole."""

from drivers.conversation import converse
from rerankers.models.api_rankers import APIRanker


def rerank(url: str, key: str, provider: str, model: str, query: str, documents: list[str]) -> object:
    """`APIRanker.rank`."""
    ranked = APIRanker(model=model, api_key=key, api_provider=provider, url=url, verbose=0).rank(query, documents)
    return [
        {"index": result.document.doc_id, "text": result.document.text, "score": result.score}
        for result in ranked.results
    ]


converse({"rerank": rerank})
