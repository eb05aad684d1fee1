"""onnxruntime in dynamic int8 behind FastAPI: exported, fused and quantised as its documentation has it for BERT.

python -m loadtest.peers.onnx_server FOLDER PORT

The graph is made when the server starts. Scales of activations are one a tensor, so that a score depends a little on
what else is in its batch.
"""

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
import uvicorn
from fastapi import FastAPI
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from pydantic import BaseModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer

BATCH = 32
LONGEST = 512
INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Body(BaseModel):
    """The part of a rerank request that this understands."""

    query: str
    documents: list[str]


class Logits(torch.nn.Module):
    """The model as a function of its three inputs, by position: what the exporter wants."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, segments: torch.Tensor) -> torch.Tensor:
        """Of [rows, length] each; [rows, 1] comes out."""
        logits: torch.Tensor = self.model(input_ids=ids, attention_mask=mask, token_type_ids=segments).logits
        return logits


def export(folder: str, graph: Path) -> None:
    """Write the model in `folder` as a quantised graph, with a file before each step beside it."""
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.ones(2, 8, dtype=torch.int64)
    plain, fused = graph.with_suffix(".plain"), graph.with_suffix(".fused")
    torch.onnx.export(
        Logits(model),
        (ids, ids, ids),
        str(plain),
        input_names=list(INPUTS),
        output_names=["logits"],
        dynamic_axes={**{name: {0: "rows", 1: "length"} for name in INPUTS}, "logits": {0: "rows"}},
        opset_version=17,
        dynamo=False,  # the fusions know the patterns of this exporter
    )
    heads, hidden = model.config.num_attention_heads, model.config.hidden_size
    optimizer.optimize_model(str(plain), "bert", num_heads=heads, hidden_size=hidden).save_model_to_file(str(fused))
    # Shape inference ends at the fused nodes, whose types it does not know.
    options = {"DefaultTensorType": onnx.TensorProto.FLOAT}
    quantize_dynamic(fused, graph, weight_type=QuantType.QInt8, extra_options=options)


class Ranker:
    """Scores of documents, in batches of like length."""

    def __init__(self, folder: str) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        with tempfile.TemporaryDirectory() as made:
            export(folder, Path(made) / "int8.onnx")
            self._session = onnxruntime.InferenceSession(Path(made) / "int8.onnx", providers=["CPUExecutionProvider"])

    def score(self, query: str, documents: Sequence[str]) -> np.ndarray:
        """One sigmoid a document."""
        order = sorted(range(len(documents)), key=lambda index: len(documents[index]))
        logits = np.zeros(len(documents), np.float32)
        for first in range(0, len(order), BATCH):
            part = order[first : first + BATCH]
            logits[part] = self._logits(query, [documents[index] for index in part])
        return 1 / (1 + np.exp(-logits))

    def _logits(self, query: str, documents: list[str]) -> np.ndarray:
        pairs = [query] * len(documents), documents
        read = self._tokenizer(*pairs, padding=True, truncation=True, max_length=LONGEST, return_tensors="np")
        given = {name: read[name].astype(np.int64) for name in INPUTS}
        logits: np.ndarray = self._session.run(None, given)[0][:, 0]
        return logits


def create(folder: str) -> FastAPI:
    """The application, for the model in `folder`."""
    ranker = Ranker(folder)
    api = FastAPI()

    @api.post("/v1/rerank")
    def rerank(body: Body) -> dict[str, list[dict[str, float]]]:
        scores = ranker.score(body.query, body.documents)
        ranked = sorted(range(len(scores)), key=lambda index: -scores[index])
        return {"results": [{"index": index, "relevance_score": float(scores[index])} for index in ranked]}

    return api


if __name__ == "__main__":
    uvicorn.run(create(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
