"""litellm: one `rerank` for every provider, and what it believes the call has cost."""

import litellm
from drivers.conversation import converse


def rerank(url: str, key: str, model: str, price: dict[str, object] | None = None, **asked: object) -> object:
    """`litellm.rerank`; `price` is the model's entry of its price list."""
    if price is not None:
        litellm.register_model({model: {"mode": "rerank", "litellm_provider": model.split("/")[0], **price}})
    reply = litellm.rerank(model=model, api_base=url, api_key=key, **asked)
    results = [
        {"index": result["index"], "score": result["relevance_score"], **_text(result)} for result in reply.results
    ]
    return {"id": reply.id, "results": results, "meta": reply.meta, "cost": reply._hidden_params["response_cost"]}


def _text(result: dict[str, object]) -> dict[str, object]:
    return {"text": result["document"]["text"]} if "document" in result else {}


litellm.suppress_debug_info = True
litellm.disable_hf_tokenizer_download = True  # it counts tokens for huggingface/ by itself
converse({"rerank": rerank}, in_vain={"huggingface.co"})  # asked how much a huggingface/ model reads, to price it
