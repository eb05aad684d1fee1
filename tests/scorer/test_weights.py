from pathlib import Path

import pytest
from huggingface_hub.errors import RepositoryNotFoundError

from serve_app.catalog import Catalog, Variant
from serve_app.errors import WeightsUnavailable
from serve_app.scorer import weights
from serve_app.scorer.weights import locate


@pytest.fixture
def variant(catalog: Catalog) -> Variant:
    return catalog.variants["minilm-l6"]


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))


def test_the_package_comes_before_the_folder(tmp_path: Path, variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "BUNDLED", tmp_path / "bundled")
    in_folder = tmp_path / "models" / "ms-marco-MiniLM-L6-v2"
    in_folder.mkdir(parents=True)
    assert locate(variant, tmp_path / "models") == in_folder
    in_package = tmp_path / "bundled" / "ms-marco-MiniLM-L6-v2"
    in_package.mkdir(parents=True)
    assert locate(variant, tmp_path / "models") == in_package


def test_a_finished_download_is_used_without_the_hub(
    tmp_path: Path, variant: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = tmp_path / "snapshot"
    snapshot.mkdir()
    monkeypatch.setattr(weights, "snapshot_download", lambda *_, **__: str(snapshot))
    with pytest.raises(WeightsUnavailable):  # broken off: the weights are not there yet
        locate(variant, None)
    (snapshot / "model.safetensors").touch()
    assert locate(variant, None) == snapshot


@pytest.mark.parametrize("models_dir", [None, Path("/nowhere")])
def test_without_weights_the_sentence_names_two_ways_out(variant: Variant, models_dir: Path | None) -> None:
    with pytest.raises(WeightsUnavailable) as caught:
        locate(variant, models_dir)
    for part in ("the hub cannot be reached", "a folder named ms-marco-MiniLM-L6-v2", "RERANK_MODELS_DIR", "the hub"):
        assert part in caught.value.message
    assert "/nowhere" not in caught.value.message


def test_a_revision_that_is_gone_is_named(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone:
        def model_info(self, *_: object, **__: object) -> None:
            raise RepositoryNotFoundError.__new__(RepositoryNotFoundError)

    monkeypatch.setattr(weights, "HfApi", Gone)
    with pytest.raises(WeightsUnavailable, match=f"does not have it at revision {variant.revision}"):
        locate(variant, None)
