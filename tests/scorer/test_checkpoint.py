"""Our heads and loading against transformers' own classes, on random weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import DistilBertConfig, DistilBertModel

from serve_app.catalog import Architecture, Catalog, Variant
from serve_app.errors import WeightsInvalid
from serve_app.scorer.checkpoint import load_cross_encoder
from serve_app.scorer.heads import ARCHITECTURES
from tests.checkpoints import SIZES, VOCABULARY, write_checkpoint, write_electra

IDS = torch.randint(5, len(VOCABULARY), (3, 12), generator=torch.Generator().manual_seed(0))
SEGMENTS = (torch.arange(12) > 5).long().repeat(3, 1)
MASK = torch.ones(3, 12, dtype=torch.bool)
MASK[1, 8:] = False


@pytest.fixture
def variant(catalog: Catalog) -> Variant:
    return catalog.variants["minilm-l6"]


def _as(variant: Variant, architecture: Architecture, labels: int = 1) -> Variant:
    return variant.model_copy(update={"architecture": architecture, "labels": labels})


@torch.inference_mode()
def _ours(variant: Variant, folder: Path) -> torch.Tensor:
    logits: torch.Tensor = load_cross_encoder(variant, folder)(IDS, SEGMENTS, MASK)
    return logits


@torch.inference_mode()
def _stock(model: Any) -> torch.Tensor:
    logits: torch.Tensor = model(input_ids=IDS, token_type_ids=SEGMENTS, attention_mask=MASK.long()).logits
    return logits


def test_every_architecture_of_the_catalog_has_an_entry() -> None:
    assert set(ARCHITECTURES) == set(Architecture)


def test_bert_with_one_label(tmp_path: Path, variant: Variant) -> None:
    stock = write_checkpoint(tmp_path, seed=1)
    torch.testing.assert_close(_ours(variant, tmp_path), _stock(stock)[:, 0])


def test_the_sigmoid_of_two_labels_is_their_softmax(tmp_path: Path, variant: Variant) -> None:
    stock = write_checkpoint(tmp_path, seed=2, labels=2)
    ours = torch.sigmoid(_ours(_as(variant, Architecture.BERT, 2), tmp_path))
    torch.testing.assert_close(ours, _stock(stock).softmax(dim=1)[:, 1])


def test_electra(tmp_path: Path, variant: Variant) -> None:
    stock = write_electra(tmp_path, seed=3)
    torch.testing.assert_close(_ours(_as(variant, Architecture.ELECTRA), tmp_path), _stock(stock)[:, 0])


def test_electra_with_the_bare_head_leaves_the_dense_layer_out(tmp_path: Path, variant: Variant) -> None:
    stock = write_electra(tmp_path, seed=4, labels=2)
    with torch.inference_mode():
        body = stock.electra(input_ids=IDS, token_type_ids=SEGMENTS, attention_mask=MASK.long())
        logits = stock.classifier.out_proj(body.last_hidden_state[:, 0])
    ours = _ours(_as(variant, Architecture.ELECTRA_LINEAR, 2), tmp_path)
    torch.testing.assert_close(ours, logits[:, 1] - logits[:, 0])
    assert not torch.allclose(ours, _stock(stock)[:, 1] - _stock(stock)[:, 0])


def test_distilbert_cat_from_its_odd_files(tmp_path: Path, variant: Variant) -> None:
    """A .bin alone, a config.json without sizes, keys of its own: as the hub has it, at full size."""
    torch.manual_seed(5)
    body, head = DistilBertModel(DistilBertConfig()).eval(), torch.nn.Linear(768, 1)
    state = {f"bert_model.{key}": tensor for key, tensor in body.state_dict().items()}
    state |= {f"_classification_layer.{key}": tensor for key, tensor in head.state_dict().items()}
    torch.save(state, tmp_path / "pytorch_model.bin")
    config = {"architectures": ["BERT_Cat"], "bert_model": "distilbert-base-uncased", "model_type": "BERT_Cat"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with torch.inference_mode():
        expected = head(body(input_ids=IDS, attention_mask=MASK.long()).last_hidden_state[:, 0])[:, 0]
    torch.testing.assert_close(_ours(_as(variant, Architecture.DISTILBERT_CAT), tmp_path), expected)


def _rewritten(folder: Path, change: Any) -> None:
    state = load_file(folder / "model.safetensors")
    change(state)
    save_file(state, folder / "model.safetensors")


def test_old_names_and_harmless_keys_are_understood(tmp_path: Path, variant: Variant) -> None:
    stock = write_checkpoint(tmp_path, seed=6)

    def make_old(state: dict[str, torch.Tensor]) -> None:
        for key in [key for key in state if "LayerNorm" in key]:
            state[key.replace("weight", "gamma").replace("bias", "beta")] = state.pop(key)
        state["bert.embeddings.position_ids"] = torch.arange(512)
        state["fit_dense.weight"] = torch.zeros(4, 4)

    _rewritten(tmp_path, make_old)
    torch.testing.assert_close(_ours(variant, tmp_path), _stock(stock)[:, 0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: state.pop("classifier.weight"), "missing head.out.weight; unexpected nothing"),
        (lambda state: state.update(extra=torch.zeros(1)), "missing nothing; unexpected extra"),
        (lambda state: state.update({"classifier.bias": torch.zeros(2)}), "have other shapes"),
        (lambda state: [state.pop(key) for key in list(state) if "layer.1" in key], "and 13 more; unexpected nothing"),
    ],
)
def test_no_head_is_ever_random(tmp_path: Path, variant: Variant, change: Any, said: str) -> None:
    write_checkpoint(tmp_path, seed=7)
    _rewritten(tmp_path, change)
    with pytest.raises(WeightsInvalid, match=said):
        load_cross_encoder(variant, tmp_path)


def test_weights_of_another_architecture_are_refused(tmp_path: Path, variant: Variant) -> None:
    write_electra(tmp_path, seed=8)
    with pytest.raises(WeightsInvalid, match="are not those of cross-encoder/ms-marco-MiniLM-L6-v2"):
        load_cross_encoder(variant, tmp_path)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("model.safetensors", b"junk", "are damaged"),
        ("model.safetensors", None, "has neither model.safetensors nor pytorch_model.bin"),
        ("config.json", b"{", "config.json of .* cannot be read"),
        ("config.json", None, "config.json of .* cannot be read"),
        ("config.json", json.dumps({**SIZES, "hidden_size": 33}).encode(), "describes no model that can be built"),
    ],
)
def test_a_damaged_folder_says_what_is_wrong(
    tmp_path: Path, variant: Variant, file: str, content: bytes | None, said: str
) -> None:
    write_checkpoint(tmp_path, seed=9)
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_bytes(content)
    with pytest.raises(WeightsInvalid, match=said) as caught:
        load_cross_encoder(variant, tmp_path)
    assert str(tmp_path) not in caught.value.message


def test_a_training_checkpoint_is_no_state_dict(tmp_path: Path, variant: Variant) -> None:
    stock = write_checkpoint(tmp_path, seed=10)
    (tmp_path / "model.safetensors").unlink()
    torch.save({**stock.state_dict(), "epoch": 3}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsInvalid, match="they hold more than tensors"):
        load_cross_encoder(variant, tmp_path)


def test_a_pickle_that_runs_code_is_refused(tmp_path: Path, variant: Variant) -> None:
    write_checkpoint(tmp_path, seed=10)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"bert": Path("/")}, tmp_path / "pytorch_model.bin")
    with pytest.raises(WeightsInvalid, match="are damaged"):
        load_cross_encoder(variant, tmp_path)
