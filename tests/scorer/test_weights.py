"""Where weights come from when nobody pulled them: the package, a folder, the hub's cache, the hub."""

import shutil
from pathlib import Path

import pytest

from serve_app.catalog import Catalog, Variant
from serve_app.errors import WeightsInvalid, WeightsUnavailable
from serve_app.scorer import weights
from serve_app.scorer.weights import locate
from tests.hub_server import Hub

WEIGHTS = "model.safetensors"


@pytest.fixture
def variant(catalog: Catalog) -> Variant:
    return catalog.variants["tinybert-l2-v2"]


def test_the_package_comes_before_the_folder(tmp_path: Path, variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "BUNDLED", tmp_path / "bundled")
    in_folder = tmp_path / "models" / variant.folder
    in_folder.mkdir(parents=True)
    assert locate(variant, tmp_path / "models") == in_folder
    in_package = tmp_path / "bundled" / variant.folder
    in_package.mkdir(parents=True)
    assert locate(variant, tmp_path / "models") == in_package


@pytest.mark.parametrize("name", ["tinybert-l2-v2", "tinybert-l4"])
def test_a_download_is_used_again_without_the_hub(hub: Hub, catalog: Catalog, name: str) -> None:
    """Also by a shortened revision, which the hub resolves."""
    variant = catalog.variants[name]
    (hub.folder / "README.md").write_text("# not needed")
    folder = locate(variant, None)
    assert folder.name == hub.commit
    assert {path.name for path in folder.iterdir()} == {"config.json", WEIGHTS, "vocab.txt"}
    hub.requests.clear()
    assert locate(variant, None) == folder
    assert hub.requests == []


def test_a_download_that_was_broken_off_is_not_used(hub: Hub, variant: Variant) -> None:
    hub.status[f"resolve/{variant.revision}/{WEIGHTS}"] = (403, "GatedRepo")
    with pytest.raises(WeightsUnavailable, match=r"accepted its terms: set HF_TOKEN\. Either put them into a folder"):
        locate(variant, None)
    hub.status.clear()
    assert (locate(variant, None) / WEIGHTS).read_bytes() == (hub.folder / WEIGHTS).read_bytes()


def test_a_folder_in_which_another_program_cached_the_config_alone(hub: Hub, variant: Variant, tmp_path: Path) -> None:
    place = f"models--{variant.hub_id.replace('/', '--')}/snapshots/{variant.revision}"
    (tmp_path / "cache" / place).mkdir(parents=True)
    shutil.copy(hub.folder / "config.json", tmp_path / "cache" / place)
    assert (locate(variant, None) / WEIGHTS).is_file()


def test_pickled_weights_are_served_as_they_are(hub: Hub, catalog: Catalog) -> None:
    """And nobody is asked to convert them: every path is of the repository itself."""
    pickled = catalog.variants["nboost-tinybert"]
    hub.commit = pickled.revision
    (hub.folder / WEIGHTS).rename(hub.folder / "pytorch_model.bin")
    assert (locate(pickled, None) / "pytorch_model.bin").is_file()
    beginnings = (f"/api/models/{pickled.hub_id}/", f"/{pickled.hub_id}/resolve/{hub.commit}/")
    assert all(path.startswith(beginnings) for path in hub.model_requests())
    assert "discussions" not in " ".join(hub.requests)


def test_a_mirror_with_other_weights_is_refused(hub: Hub, variant: Variant) -> None:
    with pytest.raises(WeightsInvalid, match="is not the file that the catalog pins"):
        locate(variant.model_copy(update={"weights_sha256": "0" * 64}), None)


@pytest.mark.parametrize("models_dir", [None, Path("/nowhere")])
def test_without_weights_the_sentence_names_two_ways_out(
    hub: Hub, variant: Variant, models_dir: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsUnavailable) as caught:
        locate(variant, models_dir)
    told = (
        "no weights of cross-encoder/ms-marco-TinyBERT-L2-v2",
        "the hub cannot be reached",
        "a folder named ms-marco-TinyBERT-L2-v2",
        "`rerank pull tinybert-l2-v2`",
        "RERANK_MODELS_DIR",
        "let the service reach the hub",
    )
    for part in told:
        assert part in caught.value.message
    assert "/nowhere" not in caught.value.message
    assert "127.0.0.1" not in caught.value.message


def test_a_revision_that_is_gone_is_named(hub: Hub, variant: Variant) -> None:
    hub.status[variant.revision] = (404, "RevisionNotFound")
    with pytest.raises(WeightsUnavailable, match=f"does not have {variant.hub_id} at revision {variant.revision}"):
        locate(variant, None)


def test_a_folder_of_the_hub_that_lost_its_weights_is_filled_again(hub: Hub, variant: Variant) -> None:
    folder = locate(variant, None)
    (folder / WEIGHTS).unlink()
    shutil.rmtree(folder.parent.parent / "blobs")
    assert (locate(variant, None) / WEIGHTS).is_file()
