"""What a hub and the way to it can do to a download: break, stall, lie, refuse."""

from pathlib import Path

import pytest

from serve_app.catalog import Catalog, Variant
from serve_app.errors import WeightsInvalid, WeightsUnavailable
from serve_app.scorer.pull import pull
from tests.hub_server import Hub

WEIGHTS = "model.safetensors"


@pytest.fixture
def variant(catalog: Catalog) -> Variant:
    return catalog.variants["tinybert-l2-v2"]


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return tmp_path / "models"


def _nothing_is_named(models: Path, variant: Variant) -> bool:
    return not (models / variant.folder).exists()


def _left(models: Path) -> dict[str, int]:
    """What waits for the next try."""
    return {path.name: path.stat().st_size for folder in models.glob(".*.partial") for path in folder.iterdir()}


def _leave(models: Path, variant: Variant, weights: bytes) -> None:
    """As an earlier try would."""
    staging = models / f".{variant.folder}.{variant.revision[:7]}.partial"
    staging.mkdir(parents=True)
    (staging / WEIGHTS).write_bytes(weights)


def test_a_connection_that_breaks_is_taken_up_again(hub: Hub, variant: Variant, models: Path) -> None:
    size = (hub.folder / WEIGHTS).stat().st_size
    hub.cut[WEIGHTS] = size * 2 // 3
    folder = pull(variant, models).folder
    assert (folder / WEIGHTS).read_bytes() == (hub.folder / WEIGHTS).read_bytes()
    assert size <= hub.sent < 1.1 * size + 5_000, "the second answer is the rest"


def test_a_download_that_was_given_up_goes_on_where_it_stopped(hub: Hub, variant: Variant, models: Path) -> None:
    hub.stalls[WEIGHTS] = 50_000
    with pytest.raises(WeightsUnavailable, match="the hub did not answer in time"):
        pull(variant, models)
    assert _nothing_is_named(models, variant)
    assert _left(models)[WEIGHTS] == 50_000
    hub.stalls.clear()
    hub.sent = 0
    folder = pull(variant, models).folder
    assert (folder / WEIGHTS).read_bytes() == (hub.folder / WEIGHTS).read_bytes()
    rest = sum((hub.folder / name).stat().st_size for name in (WEIGHTS, "vocab.txt")) - 50_000
    assert hub.sent == rest, "nothing twice"
    assert _left(models) == {}


def test_a_hub_without_ranges_sends_everything_again(hub: Hub, variant: Variant, models: Path) -> None:
    content = (hub.folder / WEIGHTS).read_bytes()
    _leave(models, variant, content[:50_000])
    hub.ranges = False
    assert (pull(variant, models).folder / WEIGHTS).read_bytes() == content


def test_a_slow_hub_is_waited_for(hub: Hub, variant: Variant, models: Path) -> None:
    hub.pause_s = 0.005  # longer in all than the timeout, which is between two answers
    assert pull(variant, models).downloaded


def test_a_wrong_checksum_keeps_nothing(hub: Hub, variant: Variant, models: Path) -> None:
    hub.corrupt.add(WEIGHTS)
    with pytest.raises(WeightsInvalid, match=f"{WEIGHTS} of .* came with a wrong checksum and was deleted: try again"):
        pull(variant, models)
    assert _nothing_is_named(models, variant)
    assert WEIGHTS not in _left(models)
    hub.corrupt.clear()
    assert pull(variant, models).downloaded


@pytest.mark.parametrize("file", ["config.json", "vocab.txt"])
def test_small_files_have_a_checksum_too(hub: Hub, variant: Variant, models: Path, file: str) -> None:
    hub.corrupt.add(file)
    with pytest.raises(WeightsInvalid, match=f"{file} of .* wrong checksum"):
        pull(variant, models)


def test_a_file_that_comes_truncated_is_not_named(hub: Hub, variant: Variant, models: Path) -> None:
    hub.short.add(WEIGHTS)
    with pytest.raises(WeightsUnavailable, match="a file of another length: try again"):
        pull(variant, models)
    assert _nothing_is_named(models, variant)


def test_what_is_too_long_starts_again(hub: Hub, variant: Variant, models: Path) -> None:
    _leave(models, variant, b"0" * 2**20)
    assert pull(variant, models).downloaded


ANSWERS = [
    (404, "RepoNotFound", "the hub has no cross-encoder/ms-marco-TinyBERT-L2-v2, or hides it"),
    (404, "RevisionNotFound", "the hub does not have cross-encoder/ms-marco-TinyBERT-L2-v2 at revision 81d1926"),
    (401, "", "the hub answered 401: a private repository, or an HF_TOKEN that is not valid"),
    (403, "GatedRepo", "only to those who accepted its terms: set HF_TOKEN"),
    (403, "", "the hub answered 403"),
    (500, "", "the hub answered 500: try again later"),
    (503, "", "the hub answered 503: try again later"),
]


@pytest.mark.parametrize(("status", "code", "said"), ANSWERS)
@pytest.mark.parametrize("what", ["revision", WEIGHTS])
def test_an_answer_that_refuses_becomes_a_sentence(
    hub: Hub, variant: Variant, models: Path, what: str, status: int, code: str, said: str
) -> None:
    hub.status[variant.revision if what == "revision" else what] = (status, code)
    with pytest.raises(WeightsUnavailable, match=said) as caught:
        pull(variant, models)
    assert _nothing_is_named(models, variant)
    assert "http" not in caught.value.message


@pytest.mark.parametrize("file", ["config.json", WEIGHTS])
def test_a_repository_without_a_file_that_serving_needs(hub: Hub, variant: Variant, models: Path, file: str) -> None:
    (hub.folder / file).unlink()
    with pytest.raises(WeightsUnavailable, match=f"the hub has no {file} of"):
        pull(variant, models)


def test_no_network(variant: Variant, models: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(WeightsUnavailable, match="the hub cannot be reached"):
        pull(variant, models)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsUnavailable, match="HF_HUB_OFFLINE forbids"):
        pull(variant, models)
    assert not models.exists()


def test_the_token_goes_with_every_request(
    hub: Hub, variant: Variant, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull(variant, models)
    assert hub.authorizations == ["Bearer hf_secret"] * len(hub.model_requests())


def test_the_token_does_not_go_to_the_host_that_large_files_come_from(
    hub: Hub, variant: Variant, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    hub.elsewhere = True
    assert pull(variant, models).downloaded
    there = [path for path in hub.model_requests() if path.startswith("/elsewhere/")]
    assert there == [f"/elsewhere/resolve/{WEIGHTS}"]
    assert len(hub.authorizations) == len(hub.model_requests()) - 1


def test_a_mirror_with_other_weights_is_refused(hub: Hub, variant: Variant, models: Path) -> None:
    pinned = variant.model_copy(update={"weights_sha256": "0" * 64})
    with pytest.raises(WeightsInvalid, match=r"model.safetensors of .* is not the file that the catalog pins"):
        pull(pinned, models)
    assert hub.sent == 0
