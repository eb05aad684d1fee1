"""The scorer: pairs in, relevance logits out. A process with a device, without FastAPI."""
