"""langchain's compressors for Cohere, Jina, Infinity and NVIDIA."""

from drivers.conversation import converse
from infinity_client.client import Client
from langchain_cohere import CohereRerank
from langchain_community.document_compressors import InfinityRerank, JinaRerank, jina_rerank
from langchain_core.documents import Document
from langchain_nvidia_ai_endpoints import NVIDIARerank


def cohere(url: str, key: str, model: str, query: str, documents: list[str], top_n: int | None = None) -> object:
    """`CohereRerank`."""
    compressor = CohereRerank(cohere_api_key=key, base_url=url, model=model, top_n=top_n)
    return _compressed(compressor, query, documents)


def jina(url: str, key: str, model: str, query: str, documents: list[str], top_n: int | None = None) -> object:
    """`JinaRerank`, whose URL is a constant of its module."""
    jina_rerank.JINA_API_URL = url
    return _compressed(JinaRerank(jina_api_key=key, model=model, top_n=top_n), query, documents)


def infinity(url: str, key: str, model: str, query: str, documents: list[str], top_n: int | None = None) -> object:
    """`InfinityRerank` over infinity-client, which takes no `AuthenticatedClient`."""
    client = Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, raise_on_unexpected_status=True)
    return _compressed(InfinityRerank(client=client, model=model, top_n=top_n), query, documents)


def nvidia(url: str, key: str, query: str, documents: list[str], model: str | None = None, top_n: int = 5) -> object:
    """`NVIDIARerank`; without a model it takes the first of the listing."""
    compressor = NVIDIARerank(base_url=url, api_key=key, model=model, top_n=top_n, usage_telemetry_enabled=False)
    return {"model": compressor.model, "results": _compressed(compressor, query, documents)}


def _compressed(compressor: object, query: str, documents: list[str]) -> list[dict[str, object]]:
    given = [Document(page_content=text) for text in documents]
    kept = compressor.compress_documents(given, query)
    return [{"text": document.page_content, "score": document.metadata["relevance_score"]} for document in kept]


converse({"cohere": cohere, "jina": jina, "infinity": infinity, "nvidia": nvidia})
