"""All fifteen variants behind one service, each asked over HTTP: the scores are those of the reference."""

from pathlib import Path

import pytest

from serve_app.catalog import Catalog
from tests.hub_layouts import LAYOUTS, shrunk, write_layout
from tests.reference import read_vocabulary, reference_logit
from tests.running import rerank_serve

QUERY = "How many people live in Berlin?"
DOCUMENTS = ["", "The river is in Berlin.", "Café Über 你好,世界 (柏林)!", "people of the mountain in the sea, " * 100]


@pytest.mark.slow
def test_every_variant_is_served_and_scores_as_its_authors_code(tmp_path: Path, catalog: Catalog) -> None:
    expected = {}
    for seed, name in enumerate(LAYOUTS):
        layout, folder = shrunk(LAYOUTS[name]), tmp_path / catalog.variants[name].folder
        state = {key: tensor.double() for key, tensor in write_layout(name, folder, seed).items()}
        vocabulary = read_vocabulary(folder)
        expected[name] = [
            reference_logit(layout.kind, layout.heads, state, vocabulary, QUERY, document) for document in DOCUMENTS
        ]
    at_once = ("--models-dir", str(tmp_path), "--variants", ",".join(LAYOUTS))
    with rerank_serve(*at_once, environment={"RERANK_DTYPE": "fp32"}) as service:
        for name, logits in expected.items():
            body = {"model": name, "query": QUERY, "documents": DOCUMENTS, "raw_scores": True}
            answer = service.http.post("/v1/rerank", json=body).json()
            assert answer["model"] == catalog.variants[name].hub_id
            scores = {result["index"]: result["relevance_score"] for result in answer["results"]}
            assert [scores[index] for index in range(len(DOCUMENTS))] == pytest.approx(logits, rel=0, abs=1e-5), name
        listed = service.http.get("/v1/models").json()["data"]
        assert {model["state"]["status"] for model in listed} == {"ready"}
