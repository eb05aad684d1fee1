"""llama-index's postprocessors for TEI, Jina, Cohere, NVIDIA, Xinference and SiliconFlow."""

from drivers.conversation import converse
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.cohere_rerank import CohereRerank
from llama_index.postprocessor.jinaai_rerank import JinaRerank
from llama_index.postprocessor.nvidia_rerank import NVIDIARerank
from llama_index.postprocessor.siliconflow_rerank import SiliconFlowRerank
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference
from llama_index.postprocessor.xinference_rerank import XinferenceRerank


def tei(url: str, key: str, query: str, documents: list[str], top_n: int) -> object:
    """`TextEmbeddingInference`, which sends the token as it is given."""
    return _ranked(TextEmbeddingInference(base_url=url, auth_token=key, top_n=top_n), query, documents)


def jina(url: str, key: str, model: str, query: str, documents: list[str], top_n: int) -> object:
    """`JinaRerank`."""
    return _ranked(JinaRerank(base_url=url, api_key=key, model=model, top_n=top_n), query, documents)


def cohere(url: str, key: str, model: str, query: str, documents: list[str], top_n: int) -> object:
    """`CohereRerank`, without the retries of the layer above the SDK."""
    ranker = CohereRerank(base_url=url, api_key=key, model=model, top_n=top_n, max_retries=1)
    return _ranked(ranker, query, documents)


def nvidia(url: str, key: str, query: str, documents: list[str], top_n: int, model: str | None = None) -> object:
    """`NVIDIARerank`, which looks its model up in the listing, and takes the first one there when none is given."""
    ranker = NVIDIARerank(base_url=url, api_key=key, model=model, top_n=top_n)
    return {"model": ranker.model, "results": _ranked(ranker, query, documents)}


def xinference(url: str, model: str, query: str, documents: list[str], top_n: int) -> object:
    """`XinferenceRerank`, which sends no key."""
    return _ranked(XinferenceRerank(base_url=url, model=model, top_n=top_n), query, documents)


def siliconflow(url: str, key: str, model: str, query: str, documents: list[str], top_n: int) -> object:
    """`SiliconFlowRerank`, a Jina-like client with options for chunks."""
    return _ranked(SiliconFlowRerank(base_url=url, api_key=key, model=model, top_n=top_n), query, documents)


def _ranked(ranker: object, query: str, documents: list[str]) -> list[dict[str, object]]:
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in documents]
    kept = ranker.postprocess_nodes(nodes, query_str=query)
    return [{"text": found.node.text, "score": found.score} for found in kept]


converse({name: globals()[name] for name in ("tei", "jina", "cohere", "nvidia", "xinference", "siliconflow")})
