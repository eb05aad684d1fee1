"""The serving pass against transformers' own; tests/scorer/test_fifteen.py has every architecture's scores."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from serve_app.catalog import Catalog
from serve_app.errors import WeightsInvalid
from serve_app.scorer.checkpoint import load_cross_encoder
from serve_app.scorer.heads import CrossEncoder
from serve_app.scorer.inference import InferenceModel, _OneDnnProduct, _product
from serve_app.scorer.packing import pad
from serve_app.scorer.tokenizer import PairTokenizer


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
    assert InferenceModel(model)(*batch) == pytest.approx(model(*batch), abs=1e-5)


@torch.inference_mode()
def test_it_does_in_bf16_too(model: CrossEncoder, batch: tuple[torch.Tensor, ...]) -> None:
    expected = model(*batch)
    model.body.to(torch.bfloat16)
    assert InferenceModel(model)(*batch) == pytest.approx(expected, abs=0.1)


@torch.inference_mode()
def test_the_last_layer_is_computed_for_cls_alone(
    model: CrossEncoder, batch: tuple[torch.Tensor, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []
    plain = nn.functional.gelu

    def counted(x: torch.Tensor) -> torch.Tensor:
        lengths.append(x.shape[1])
        return plain(x)

    monkeypatch.setattr(nn.functional, "gelu", counted)
    InferenceModel(model)(*batch)
    longest = batch[0].shape[1]
    assert lengths == [longest] * (len(lengths) - 1) + [1]
    assert len(lengths) > 1


@torch.inference_mode()
@pytest.mark.parametrize("gelu", [False, True])
def test_onednn_computes_the_same_product(gelu: bool) -> None:
    torch.manual_seed(1)
    layers = [nn.Linear(64, 48).to(torch.bfloat16) for _ in range(2)]
    x = torch.randn(3, 7, 64, dtype=torch.bfloat16)
    product = _product(*layers, gelu=gelu)
    assert isinstance(product, _OneDnnProduct)
    expected = torch.cat([layer.float()(x.float()) for layer in layers], dim=-1)
    expected = nn.functional.gelu(expected) if gelu else expected
    # One rounding to bf16: 8 bits. The approximation of gelu is further off near -2.
    torch.testing.assert_close(product(x).float(), expected, rtol=2**-8, atol=1e-4)


def test_another_activation_is_refused(model: CrossEncoder) -> None:
    body: Any = model.body
    body.config.hidden_act = "relu"
    with pytest.raises(WeightsInvalid, match="activation is relu"):
        InferenceModel(model)
