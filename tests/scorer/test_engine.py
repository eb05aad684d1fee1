import gzip
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase

from serve_app.catalog import Catalog
from serve_app.errors import EngineFailure, WeightsInvalid
from serve_app.scorer.engine import TorchEngine, computes_int8, native_dtype
from serve_app.scorer.gathering import GatheredLayout
from serve_app.scorer.packing import Packed
from serve_app.scorer.tokenizer import PairTokenizer
from tests.checkpoints import WORDS

TOLERANCE = 1e-4


@torch.inference_mode()
def _plain(model: Any, stock: PreTrainedTokenizerBase, query: str, documents: Sequence[str]) -> list[float]:
    """Plain transformers in fp32, a pair at a time."""
    logits = []
    for document in documents:
        pair = stock([query], [document], truncation="only_second", max_length=512, return_tensors="pt")
        logits.append(model(**pair).logits.item())
    return logits


text = st.lists(st.sampled_from(WORDS), max_size=120).map(" ".join)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(text, st.lists(text, min_size=1, max_size=6)), min_size=1, max_size=4), st.data())
def test_a_score_is_that_of_plain_transformers_whatever_else_is_in_the_batch(
    bert: tuple[Path, Any],
    stock: PreTrainedTokenizerBase,
    tokenizer: PairTokenizer,
    engine: TorchEngine,
    requests: list[tuple[str, list[str]]],
    data: st.DataObject,
) -> None:
    rows = [row for query, documents in requests for row in tokenizer.rows_now(query, documents)]
    expected = [logit for query, documents in requests for logit in _plain(bert[1], stock, query, documents)]
    order = data.draw(st.permutations(range(len(rows))))
    engine.token_budget = data.draw(st.integers(16, 2_048))
    logits = engine.run([rows[i] for i in order])
    assert logits == pytest.approx([expected[i] for i in order], abs=TOLERANCE)


def test_real_weights_score_as_plain_transformers(
    real_models: Path,
    trec_run: Path,
    catalog: Catalog,
    real_tokenizer: PairTokenizer,
    real_stock: PreTrainedTokenizerBase,
) -> None:
    folder = real_models / "ms-marco-MiniLM-L12-v2"
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    engine = TorchEngine.load(catalog.in_dtype("fp32").variants["minilm-l12"], folder, "cpu", real_tokenizer.pad_id)
    rows, expected = [], []
    with gzip.open(trec_run / "bm25-top100.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in list(lines)[:6]:
            query = json.loads(line)
            documents = [c["text"] for c in query["candidates"][:8]]
            documents[0] *= 12  # one that has to be cut
            rows += real_tokenizer.rows_now(query["query"], documents)
            expected += _plain(model, real_stock, query["query"], documents)
    assert engine.run(rows) == pytest.approx(expected, abs=TOLERANCE)
    assert engine.run(rows[::-1]) == pytest.approx(expected[::-1], abs=TOLERANCE)


def test_threads_get_their_own_scores(engine: TorchEngine, tokenizer: PairTokenizer) -> None:
    requests = [tokenizer.rows_now(query, [" ".join(WORDS[:n]), "sea"]) for n, query in enumerate(WORDS[:12], 1)]
    expected = [engine.run(rows) for rows in requests]
    with ThreadPoolExecutor(max_workers=4) as threads:
        together = list(threads.map(engine.run, requests))
    assert together == [pytest.approx(logits, abs=TOLERANCE) for logits in expected]


def test_a_pass_that_is_not_alone_has_half_of_the_threads(
    engine: TorchEngine, tokenizer: PairTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    for threads, alone in ((8, True), (8, False), (1, False)):
        monkeypatch.setattr(engine, "_threads", threads)
        engine.run(tokenizer.rows_now("the river", ["sea"]), alone)
    assert given == [8, 4, 1]


def test_the_check_passes_for_a_sound_model(engine: TorchEngine, tokenizer: PairTokenizer) -> None:
    engine.check(tokenizer.rows_now("the river", ["", "sea", "bread " * 40]))


def test_the_check_finds_a_mask_that_leaks(
    engine: TorchEngine, tokenizer: PairTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay_out = GatheredLayout.__init__

    def without_mask(layout: GatheredLayout, packed: Packed, heads: int, dtype: torch.dtype) -> None:
        lay_out(layout, packed, heads, dtype)
        for block in layout._blocks:
            block._seen.fill_(1)

    monkeypatch.setattr(engine, "token_budget", 4_096)
    monkeypatch.setattr(GatheredLayout, "__init__", without_mask)
    with pytest.raises(WeightsInvalid, match="apart in two batches"):
        engine.check(tokenizer.rows_now("the river", ["", "sea", "bread " * 40]))


def test_the_check_finds_scores_that_are_not_finite(
    engine: TorchEngine, tokenizer: PairTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "run", lambda rows: [float("inf")] * len(rows))
    with pytest.raises(WeightsInvalid, match="not finite in fp32"):
        engine.check(tokenizer.rows_now("the river", ["sea"]))


def test_a_device_that_fails_is_an_engine_failure(
    engine: TorchEngine,
    tokenizer: PairTokenizer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def out_of_memory(*_: object) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory at 0x7f, pid 12")

    monkeypatch.setattr(engine._path, "launch", out_of_memory)
    with pytest.raises(EngineFailure) as caught:
        engine.run(tokenizer.rows_now("the river", ["sea"]))
    assert "pid" not in caught.value.message
    assert "CUDA out of memory at 0x7f, pid 12" in caplog.text


@pytest.mark.parametrize(
    ("has", "dtype"),
    [({"avx512_bf16": True}, "bf16"), ({"amx_bf16": True}, "bf16"), ({"avx512_bf16": False, "avx2": True}, "fp32")],
)
def test_the_dtype_of_a_cpu_is_what_it_computes_natively(
    monkeypatch: pytest.MonkeyPatch, has: dict[str, bool], dtype: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert native_dtype("cpu") == dtype
    assert native_dtype("cuda") == "fp16"


def test_int8_scores_are_near_and_the_same_in_every_batch(
    bert: tuple[Path, Any], catalog: Catalog, tokenizer: PairTokenizer, engine: TorchEngine
) -> None:
    if not computes_int8("cpu"):
        pytest.skip("this CPU has no VNNI")
    small = TorchEngine.load(catalog.in_dtype("int8").variants["minilm-l6"], bert[0], "cpu", pad_id=0)
    assert small.dtype == "int8"
    rows = tokenizer.rows_now("the river in berlin", ["", "sea and bread", "people of the mountain " * 30])
    together = small.run(rows)
    assert together == pytest.approx(engine.run(rows), abs=0.5)  # small random layers have little to average over
    assert together != pytest.approx(engine.run(rows), abs=1e-4)
    assert [small.run([row])[0] for row in rows] == pytest.approx(together, abs=0.05)


def test_int8_is_refused_where_it_would_be_wrong_or_slow(
    bert: tuple[Path, Any], catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPUs without VNNI add products of int8 in 16 bits, and saturate."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    with pytest.raises(WeightsInvalid, match="cpu has no fast int8 here, which takes a CPU with VNNI: use dtype auto"):
        TorchEngine.load(catalog.in_dtype("int8").variants["minilm-l6"], bert[0], "cpu", pad_id=0)
