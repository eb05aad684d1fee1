"""A variant from a hub into a folder: what is in it in the end, and what the folder's own disk can do to it."""

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from serve_app.catalog import Catalog, Variant
from serve_app.errors import ConfigurationError, WeightsInvalid
from serve_app.scorer.loading import load_folder
from serve_app.scorer.pull import pull
from tests.checkpoints import write_checkpoint
from tests.hub_server import Hub

WEIGHTS = "model.safetensors"


@pytest.fixture
def variant(catalog: Catalog) -> Variant:
    return catalog.variants["tinybert-l2-v2"]


@pytest.fixture
def pickled(catalog: Catalog) -> Variant:
    return catalog.variants["nboost-tinybert"]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def _nothing_is_named(models: Path, variant: Variant) -> bool:
    return not (models / variant.folder).exists()


def _logit(variant: Variant, folder: Path) -> float:
    in_fp32 = variant.model_copy(update={"serving": variant.serving.model_copy(update={"dtype": "fp32"})})
    model = load_folder(in_fp32, folder, "cpu")
    return model.engine.run(model.tokenizer.rows_now("the river", ["sea and bread"]))[0]


def test_the_folder_holds_what_serving_needs_and_a_manifest(hub: Hub, variant: Variant, models: Path) -> None:
    (hub.folder / "README.md").write_text("# not needed")
    (hub.folder / "onnx.bin").write_bytes(b"0" * 5_000)
    before = set(threading.enumerate())
    pulled = pull(variant, models)
    assert [path.name for path in models.iterdir()] == [variant.folder]
    names = {path.name for path in pulled.folder.iterdir()}
    assert names == {"config.json", WEIGHTS, "vocab.txt", "manifest.json"}
    for name in names - {"manifest.json"}:
        assert (pulled.folder / name).read_bytes() == (hub.folder / name).read_bytes()
    manifest = json.loads((pulled.folder / "manifest.json").read_text())
    assert (manifest["hub_id"], manifest["commit"], manifest["converted"]) == (variant.hub_id, hub.commit, None)
    assert set(manifest["files"]) == names - {"manifest.json"}
    asked = {path.rsplit("/", 1)[-1] for path in hub.model_requests()}
    assert asked == {variant.revision, "config.json", WEIGHTS, "vocab.txt"}
    started = {thread.name for thread in set(threading.enumerate()) - before}
    assert all("process_request_thread" in name for name in started), "of the test's server, and no other"


def test_pulled_twice_downloads_nothing(hub: Hub, variant: Variant, models: Path) -> None:
    assert pull(variant, models).downloaded
    hub.requests.clear()
    assert not pull(variant, models).downloaded
    assert hub.requests == []


def test_pickled_weights_are_converted_once(hub: Hub, pickled: Variant, models: Path, tmp_path: Path) -> None:
    stock = write_checkpoint(tmp_path / "stock", seed=3, labels=2)
    state = {**stock.state_dict(), "fit_dense.weight": torch.zeros(4, 4)}
    state["bert.embeddings.position_ids"] = torch.arange(512)
    (hub.folder / WEIGHTS).unlink()
    torch.save(state, hub.folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)
    for name in ("config.json", "vocab.txt"):
        shutil.copy(tmp_path / "stock" / name, hub.folder / name)
    pulled = pull(pickled, models)
    assert {path.name for path in pulled.folder.iterdir()} == {"config.json", WEIGHTS, "vocab.txt", "manifest.json"}
    converted = load_file(pulled.folder / WEIGHTS)
    assert set(converted) == set(stock.state_dict())
    for key, tensor in stock.state_dict().items():
        assert torch.equal(converted[key], tensor)
    assert pulled.manifest.converted is not None
    assert pulled.manifest.converted.dropped == ("bert.embeddings.position_ids", "fit_dense.weight")
    assert _logit(pickled, pulled.folder) == pytest.approx(_logit(pickled, tmp_path / "stock"), abs=1e-6)
    hub.requests.clear()
    assert not pull(pickled, models).downloaded
    assert hub.requests == []


def test_a_repository_without_a_tokenizer(hub: Hub, variant: Variant, models: Path) -> None:
    (hub.folder / "vocab.txt").unlink()
    with pytest.raises(WeightsInvalid, match=r"the tokenizer of .* cannot be read"):
        pull(variant, models)
    assert _nothing_is_named(models, variant)


def test_weights_that_do_not_fit_get_no_name(hub: Hub, variant: Variant, models: Path) -> None:
    state = load_file(hub.folder / WEIGHTS)
    del state["classifier.weight"]
    save_file(state, hub.folder / WEIGHTS)
    with pytest.raises(WeightsInvalid, match=r"missing head\.out\.weight"):
        pull(variant, models)
    assert _nothing_is_named(models, variant)


def test_a_damaged_folder_is_pulled_again(hub: Hub, variant: Variant, models: Path) -> None:
    weights = pull(variant, models).folder / WEIGHTS
    whole = weights.read_bytes()
    for damaged in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        weights.write_bytes(damaged)
        assert pull(variant, models).downloaded
        assert weights.read_bytes() == whole
    weights.unlink()
    assert pull(variant, models).downloaded


def test_a_folder_of_another_revision_is_replaced(hub: Hub, variant: Variant, models: Path) -> None:
    pull(variant, models)
    newer = variant.model_copy(update={"revision": "b" * 40})
    hub.commit = "b" * 40
    assert pull(newer, models).manifest.commit == "b" * 40
    assert not pull(newer, models).downloaded


def test_a_folder_that_someone_else_made_is_left_alone(hub: Hub, variant: Variant, models: Path) -> None:
    models.mkdir()
    write_checkpoint(models / variant.folder, seed=2)
    with pytest.raises(ConfigurationError, match=r"was not made by `rerank pull`.*move it away"):
        pull(variant, models)
    assert hub.requests == []


def test_a_file_where_the_folder_should_be(hub: Hub, variant: Variant, models: Path) -> None:
    models.write_text("")
    with pytest.raises(ConfigurationError, match=r"tinybert-l2-v2 cannot be written to .*: Not a directory"):
        pull(variant, models)


@pytest.fixture
def mounted(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A file system of its own, with the options of the test's parameter."""
    place = tmp_path / "mounted"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", request.param, "tmpfs", place], check=False, capture_output=True
    )
    if done.returncode:
        pytest.skip(f"needs the right to mount a tmpfs: {done.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("mounted", ["ro"], indirect=True)
def test_a_read_only_folder(hub: Hub, variant: Variant, mounted: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tinybert-l2-v2 cannot be written to .*: Read-only file system"):
        pull(variant, mounted)


@pytest.mark.parametrize("mounted", ["size=64k"], indirect=True)
def test_a_disk_that_is_too_small_is_known_before(hub: Hub, variant: Variant, mounted: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"tinybert-l2-v2 needs 0\.2 MB more in .*, which has 0\.1 MB free"):
        pull(variant, mounted)
    assert hub.sent == 0


@pytest.mark.parametrize("file", [WEIGHTS, "config.json"])
def test_a_disk_that_fills_up_on_the_way(
    hub: Hub, variant: Variant, models: Path, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10 * 2**20)  # as it is, so no buffer hides it
    staging = models / f".{variant.folder}.{variant.revision[:7]}.partial"
    staging.mkdir(parents=True)
    (staging / file).symlink_to("/dev/full")
    with pytest.raises(ConfigurationError, match=r"cannot be written to .*: No space left on device"):
        pull(variant, models)
    assert _nothing_is_named(models, variant)


@pytest.mark.parametrize("mounted", ["size=260k"], indirect=True)
def test_room_for_the_conversion_is_asked_for_as_well(hub: Hub, pickled: Variant, mounted: Path) -> None:
    torch.save(load_file(hub.folder / WEIGHTS), hub.folder / "pytorch_model.bin")
    (hub.folder / WEIGHTS).unlink()
    with pytest.raises(ConfigurationError, match=r"needs 0\.3 MB more in .*, which has 0\.3 MB free"):
        pull(pickled, mounted)
