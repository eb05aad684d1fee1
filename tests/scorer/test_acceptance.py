"""Verdicts on published scores: of weights that are right, nearly right, and wrong."""

import shutil
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from serve_app.catalog import Catalog, Variant
from serve_app.catalog_file import shipped_config
from serve_app.scorer.acceptance import CLOSE, EQUAL, PublishedSet, Verdict, read_published, verify
from serve_app.scorer.pull import pull
from serve_app.scorer.weights import locate
from tests.hub_server import Hub

DOCUMENTS = ["the sea and the mountain", "bread", "music of people"]


@pytest.fixture
def variant(catalog: Catalog) -> Variant:
    return catalog.variants["tinybert-l2-v2"]


def _published(variant: Variant, logits: list[float], kind: str = "logits") -> PublishedSet:
    return PublishedSet(
        name="river", source="this test", query="the river", documents=DOCUMENTS, **{kind: {variant.hub_id: logits}}
    )


@pytest.fixture
def folder(hub: Hub, variant: Variant, tmp_path: Path) -> Path:
    return pull(variant, tmp_path / "models").folder


@pytest.fixture
def logits(folder: Path, variant: Variant) -> list[float]:
    """What the small weights score, by the very code under test: the verdicts are what these tests are about."""
    return [each.ours for each in verify(variant, folder, [_published(variant, [0.0] * 3)]).comparisons]


@pytest.mark.parametrize(
    ("off", "verdict", "passes"),
    [
        (EQUAL * 0.9, Verdict.EQUAL, True),
        (EQUAL * 1.1, Verdict.CLOSE, False),
        (CLOSE * 0.99, Verdict.CLOSE, False),
        (-CLOSE * 1.01, Verdict.WRONG, False),
    ],
)
def test_pinned_weights_have_to_be_equal(
    variant: Variant, folder: Path, logits: list[float], off: float, verdict: Verdict, passes: bool
) -> None:
    report = verify(variant, folder, [_published(variant, [logits[0] + off, *logits[1:]])])
    assert [each.verdict for each in report.comparisons] == [verdict, Verdict.EQUAL, Verdict.EQUAL]
    assert report.comparisons[0].difference == pytest.approx(-off)
    assert (report.pinned, report.bound, report.passed) == (True, EQUAL, passes)


@pytest.mark.parametrize(("off", "passes"), [(CLOSE * 0.99, True), (CLOSE * 1.01, False)])
def test_other_weights_have_to_be_close(
    variant: Variant, folder: Path, logits: list[float], off: float, passes: bool
) -> None:
    (folder / "manifest.json").unlink()
    report = verify(variant, folder, [_published(variant, [logits[0] + off, *logits[1:]])])
    assert (report.pinned, report.bound, report.passed) == (False, CLOSE, passes)


def test_weights_that_were_changed_are_no_longer_pinned(variant: Variant, folder: Path) -> None:
    state = load_file(folder / "model.safetensors")
    state["classifier.bias"] += 1
    save_file(state, folder / "model.safetensors")
    assert not verify(variant, folder, []).pinned


def test_the_hubs_cache_is_pinned(hub: Hub, variant: Variant) -> None:
    assert verify(variant, locate(variant, None), []).pinned


def test_probabilities_are_compared_as_such_and_bounded_in_the_logit(
    variant: Variant, folder: Path, logits: list[float]
) -> None:
    exact = torch.tensor(logits, dtype=torch.float64)

    def verdicts(shifted: torch.Tensor) -> list[Verdict]:
        sets = [_published(variant, torch.sigmoid(shifted).tolist(), "probabilities")]
        return [each.verdict for each in verify(variant, folder, sets).comparisons]

    assert verdicts(exact) == [Verdict.EQUAL] * 3
    assert verdicts(exact + CLOSE * 0.99) == [Verdict.CLOSE] * 3
    assert verdicts(exact + CLOSE * 1.01) == [Verdict.WRONG] * 3


def test_where_no_score_is_published_the_order_has_to_be_right(
    variant: Variant, folder: Path, logits: list[float]
) -> None:
    best_first = [document for _, document in sorted(zip(logits, DOCUMENTS, strict=True), reverse=True)]
    for documents, verdict in ((best_first, Verdict.IN_ORDER), (best_first[::-1], Verdict.WRONG)):
        published = PublishedSet(
            name="river", source="", query="the river", documents=documents, best_first=[variant.hub_id]
        )
        report = verify(variant, folder, [published])
        assert [each.verdict for each in report.comparisons] == [verdict] * 3
        assert report.passed == (verdict is Verdict.IN_ORDER)
        assert report.comparisons[0].difference is None


def test_a_set_about_other_models_says_nothing(variant: Variant, folder: Path, catalog: Catalog) -> None:
    other = _published(catalog.variants["minilm-l6"], [1.0, 2.0, 3.0])
    assert verify(variant, folder, [other]).comparisons == []


def test_every_model_of_the_catalog_has_something_to_be_compared_with(catalog: Catalog) -> None:
    sets = read_published(shipped_config("published.yaml"))
    by_score = {v.name for v in catalog.variants.values() for s in sets if v.hub_id in {*s.logits, *s.probabilities}}
    by_order = {v.name for v in catalog.variants.values() for s in sets if v.hub_id in s.best_first}
    assert by_score | by_order == {name for name, variant in catalog.variants.items() if not variant.bundled}
    assert not by_score & by_order
    known = {variant.hub_id for variant in catalog.variants.values()}
    assert {hub_id for s in sets for hub_id in (*s.logits, *s.probabilities, *s.best_first)} <= known


def test_a_set_needs_a_score_for_every_document(variant: Variant) -> None:
    with pytest.raises(ValidationError, match="has 2 scores for 3 documents"):
        _published(variant, [1.0, 2.0])


def test_real_weights_restored_from_int8_are_close(real_models: Path, catalog: Catalog) -> None:
    """The differences that models restored like this are known for: 9.0851 for 9.2189, -3.934 for -4.078."""
    variant = catalog.variants["minilm-l12"]
    report = verify(variant, real_models / variant.folder, read_published(shipped_config("published.yaml")))
    assert (report.pinned, report.passed) == (False, True)
    berlin = {each.pair: each for each in report.comparisons if each.pair.startswith("berlin")}
    assert [round(berlin[f"berlin {n}"].ours, 3) for n in (1, 2)] == [9.085, -3.934]
    assert {each.verdict for each in report.comparisons} == {Verdict.CLOSE}


def test_a_swapped_label_is_wrong(real_models: Path, catalog: Catalog, tmp_path: Path) -> None:
    """Though unpinned weights are given room: nobody's rounding turns an order round."""
    variant = catalog.variants["minilm-l12"]
    shutil.copytree(real_models / variant.folder, tmp_path / variant.folder)
    file = tmp_path / variant.folder / "model.safetensors"
    state = load_file(file)
    state["classifier.weight"] *= -1
    state["classifier.bias"] *= -1
    save_file(state, file)
    report = verify(variant, file.parent, read_published(shipped_config("published.yaml")))
    assert {each.verdict for each in report.comparisons} == {Verdict.WRONG}
