"""The serving pass against transformers' own; tests/scorer/test_fifteen.py has every architecture's scores."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from serve_app.catalog import Catalog
from serve_app.errors import WeightsInvalid
from serve_app.scorer.attention import PackedLayout
from serve_app.scorer.checkpoint import load_cross_encoder
from serve_app.scorer.heads import CrossEncoder
from serve_app.scorer.inference import InferenceModel
from serve_app.scorer.packing import pack, pad
from serve_app.scorer.tokenizer import PairTokenizer
from tests.hub_layouts import write_layout


@pytest.fixture
def model(bert: tuple[Path, Any], catalog: Catalog) -> CrossEncoder:
    return load_cross_encoder(catalog.variants["minilm-l6"], bert[0])


@pytest.fixture
def batch(tokenizer: PairTokenizer) -> tuple[torch.Tensor, ...]:
    rows = tokenizer.rows_now("the river in berlin", ["", "sea and bread", "people of the mountain " * 30])
    padded = pad(rows)
    return tuple(map(torch.from_numpy, (padded.ids, padded.segments, padded.mask)))


@torch.inference_mode()
def test_it_scores_what_the_whole_body_scores(model: CrossEncoder, batch: tuple[torch.Tensor, ...]) -> None:
    assert InferenceModel(model).padded(*batch) == pytest.approx(model(*batch), abs=1e-5)


def _row_by_row(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    query_starts: torch.Tensor,
    starts: torch.Tensor,
    *longest: int,
    scale: float,
) -> torch.Tensor:
    """Stands for PyTorch's kernel, which runs on GPUs alone: attention of one row after the other."""
    assert longest == (int(query_starts.diff().max()), int(starts.diff().max()))
    assert query_starts.dtype == starts.dtype == torch.int32
    parts: list[torch.Tensor] = []
    for row in range(len(starts) - 1):
        asking, there = slice(*query_starts[row : row + 2].tolist()), slice(*starts[row : row + 2].tolist())
        weights = torch.einsum("qhw,khw->hqk", query[asking], key[there]).mul(scale).softmax(-1)
        parts.append(torch.einsum("hqk,khw->qhw", weights, value[there]))
    return torch.cat(parts)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["tinybert-l2", "minilm-l2", "nboost-tinybert", "electra-base", "distilbert-cat"])
def test_packed_rows_score_as_alone(name: str, catalog: Catalog, tokenizer: PairTokenizer, tmp_path: Path) -> None:
    """Every body and head of the catalog, a head width of 26 among them."""
    write_layout(name, tmp_path, seed=1)
    serving = InferenceModel(load_cross_encoder(catalog.variants[name], tmp_path))
    rows = tokenizer.rows_now("the river in berlin", ["", "sea and bread", "people of the mountain " * 30])
    packed = pack(rows)
    ids, segments, positions, starts = map(
        torch.from_numpy, (packed.ids, packed.segments, packed.positions, packed.starts)
    )
    layout = PackedLayout(starts, packed.longest, serving.heads, _row_by_row)
    together = serving.packed(ids, segments, positions, layout)
    single = [pad([row]) for row in rows]
    alone = [serving.padded(torch.from_numpy(row.ids), torch.from_numpy(row.segments), None) for row in single]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=3e-6)


@torch.inference_mode()
def test_it_does_in_bf16_too(model: CrossEncoder, batch: tuple[torch.Tensor, ...]) -> None:
    expected = model(*batch)
    model.body.to(torch.bfloat16)
    assert InferenceModel(model).padded(*batch) == pytest.approx(expected, abs=0.1)


@torch.inference_mode()
def test_the_last_layer_is_computed_for_cls_alone(
    model: CrossEncoder, batch: tuple[torch.Tensor, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    plain = nn.functional.gelu

    def counted(x: torch.Tensor) -> torch.Tensor:
        lengths.append(len(x))
        return plain(x)

    monkeypatch.setattr(nn.functional, "gelu", counted)
    InferenceModel(model).padded(*batch)
    rows, longest = batch[0].shape
    assert lengths == [rows * longest] * (len(lengths) - 1) + [rows]
    assert len(lengths) > 1


def test_another_activation_is_refused(model: CrossEncoder) -> None:
    body: Any = model.body
    body.config.hidden_act = "relu"
    with pytest.raises(WeightsInvalid, match="activation is relu"):
        InferenceModel(model)
