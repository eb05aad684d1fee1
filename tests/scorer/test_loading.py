"""What stands between a folder of weights and a replica that calls itself ready."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from serve_app.catalog import Catalog, Variant
from serve_app.errors import WeightsInvalid
from serve_app.scorer.gathering import GatheredLayout
from serve_app.scorer.loading import load
from serve_app.scorer.packing import Packed
from tests.checkpoints import write_checkpoint


@pytest.fixture
def variant(catalog: Catalog) -> Variant:
    return catalog.variants["minilm-l6"].model_copy(
        update={"serving": catalog.variants["minilm-l6"].serving.model_copy(update={"dtype": "fp32"})}
    )


@pytest.fixture
def folder(tmp_path: Path, variant: Variant) -> Path:
    write_checkpoint(tmp_path / variant.folder, seed=1)
    return tmp_path / variant.folder


@pytest.fixture(autouse=True)
def _threads_as_they_were() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_a_sound_folder_is_loaded_with_the_threads_it_is_given(folder: Path, variant: Variant) -> None:
    model = load(variant, folder.parent, "cpu", threads=1)
    assert torch.get_num_threads() == 1
    assert os.environ["RAYON_NUM_THREADS"] == "1"
    assert len(model.engine.run(model.tokenizer.rows_now("the river", ["sea", "bread"]))) == 2


def test_on_a_gpu_the_process_takes_no_more_memory_than_its_share(
    folder: Path, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", shares.append)  # there is no GPU here
    monkeypatch.setattr("serve_app.scorer.loading.load_folder", lambda *_: None)
    load(variant, folder.parent, "cuda", threads=1)
    assert shares == [variant.serving.gpu_share]


def test_one_dnn_keeps_more_machine_code_than_it_does_by_itself(
    folder: Path, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "before")
    monkeypatch.delenv("ONEDNN_PRIMITIVE_CACHE_CAPACITY")
    load(variant, folder.parent, "cpu", threads=1)
    assert int(os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"]) > 1_024


def test_weights_that_give_no_finite_score_are_not_served(folder: Path, variant: Variant) -> None:
    state = load_file(folder / "model.safetensors")
    state["classifier.bias"].fill_(float("nan"))
    save_file(state, folder / "model.safetensors")
    with pytest.raises(WeightsInvalid, match="warm-up batch has scores that are not finite"):
        load(variant, folder.parent, "cpu", threads=1)


def test_a_score_that_depends_on_the_batch_is_not_served(
    folder: Path, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The warm-up pairs have to be so different in length that a mask which leaks shows."""
    lay_out = GatheredLayout.__init__

    def without_mask(layout: GatheredLayout, packed: Packed, heads: int, dtype: torch.dtype) -> None:
        lay_out(layout, packed, heads, dtype)
        for block in layout._blocks:
            block._seen.fill_(1)

    monkeypatch.setattr(GatheredLayout, "__init__", without_mask)
    with pytest.raises(WeightsInvalid, match="apart in two batches"):
        load(variant, folder.parent, "cpu", threads=1)
