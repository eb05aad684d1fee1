"""Haystack's rankers for TEI, Jina, vLLM, Cohere and NVIDIA."""

from drivers.conversation import converse
from haystack import Document
from haystack.utils import Secret
from haystack_integrations.components.rankers.cohere import CohereRanker
from haystack_integrations.components.rankers.huggingface_api import HuggingFaceTEIRanker
from haystack_integrations.components.rankers.jina import JinaRanker
from haystack_integrations.components.rankers.nvidia import NvidiaRanker
from haystack_integrations.components.rankers.vllm import VLLMRanker


def tei(url: str, key: str, query: str, documents: list[str], top_k: int = 10, raw_scores: bool = False) -> object:
    """`HuggingFaceTEIRanker`, without its retries."""
    token = Secret.from_token(key)
    ranker = HuggingFaceTEIRanker(url=url, token=token, top_k=top_k, raw_scores=raw_scores, max_retries=1)
    return _ranked(ranker, query, documents)


def jina(url: str, key: str, model: str, query: str, documents: list[str], top_k: int | None = None) -> object:
    """`JinaRanker`."""
    ranker = JinaRanker(base_url=url, api_key=Secret.from_token(key), model=model, top_k=top_k)
    return _ranked(ranker, query, documents)


def vllm(url: str, key: str, model: str, query: str, documents: list[str], top_k: int | None = None) -> object:
    """`VLLMRanker`."""
    ranker = VLLMRanker(api_base_url=url, api_key=Secret.from_token(key), model=model, top_k=top_k)
    return _ranked(ranker, query, documents)


def cohere(url: str, key: str, model: str, query: str, documents: list[str], top_k: int = 10) -> object:
    """`CohereRanker`."""
    ranker = CohereRanker(api_base_url=url, api_key=Secret.from_token(key), model=model, top_k=top_k)
    return _ranked(ranker, query, documents)


def nvidia(url: str, key: str, query: str, documents: list[str], model: str | None = None, top_k: int = 5) -> object:
    """`NvidiaRanker`; without a model it sends null."""
    ranker = NvidiaRanker(api_url=url, api_key=Secret.from_token(key), model=model, top_k=top_k)
    return _ranked(ranker, query, documents)


def _ranked(ranker: object, query: str, documents: list[str]) -> dict[str, object]:
    reply = ranker.run(query=query, documents=[Document(content=text) for text in documents])
    results = [{"text": document.content, "score": document.score} for document in reply["documents"]]
    return {"results": results, "meta": reply.get("meta")}


converse({"tei": tei, "jina": jina, "vllm": vllm, "cohere": cohere, "nvidia": nvidia})
