"""sentence-transformers' CrossEncoder behind FastAPI, as its documentation has it: fp32 on a CPU, batches of 32.

python -m loadtest.peers.sentence_transformers_server FOLDER PORT
"""

import sys

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import CrossEncoder


class Body(BaseModel):
    """The part of a rerank request that this understands."""

    query: str
    documents: list[str]


def create(folder: str) -> FastAPI:
    """The application, for the model in `folder`."""
    model = CrossEncoder(folder, max_length=512)
    api = FastAPI()

    @api.post("/v1/rerank")
    def rerank(body: Body) -> dict[str, list[dict[str, float]]]:
        scores = model.predict([(body.query, document) for document in body.documents], show_progress_bar=False)
        ranked = sorted(range(len(scores)), key=lambda index: -scores[index])
        return {"results": [{"index": index, "relevance_score": float(scores[index])} for index in ranked]}

    return api


if __name__ == "__main__":
    uvicorn.run(create(sys.argv[1]), host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
