"""Cascades in the catalog: what is refused, and what they are to those who ask for them."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from serve_app.catalog import Catalog, Tier
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.errors import ConfigurationError
from serve_app.plan import Cascade

L6 = {"variant": "minilm-l6"}
L12 = {"variant": "minilm-l12"}


def _with(catalog: Catalog, **cascades: Any) -> Catalog:
    return Catalog.model_validate({**catalog.model_dump(mode="json"), "cascades": cascades})


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        ({"stages": [L12]}, "cascades.x\n.*a cascade has two stages or more, and this one has 1"),
        ({"stages": []}, "two stages or more, and this one has 0"),
        ({"stages": [L6, L12]}, "the stage minilm-l6 lacks keep: how many of its best minilm-l12 scores"),
        ({"stages": [{**L6, "keep": 9}, {**L12, "keep": 9}]}, "the stage minilm-l12 is the last, and gives to none"),
        ({"stages": [{**L6, "keep": 9}, {**L6, "keep": 10}, L12]}, "the stage minilm-l6 keeps 10 of the 9 that"),
        ({"stages": [{**L6, "keep": 0}, L12]}, "greater than or equal to 1"),
        ({"stages": [{"variant": "gpt", "keep": 9}, L12]}, "cascades.x.stages names 'gpt', which is not among the var"),
        ({"stages": [{"variant": "y", "keep": 9}, L12]}, "cascades.x.stages names 'y', which is a cascade, and a"),
        ({"stages": [{"variant": "x", "keep": 9}, L12]}, "cascades.x.stages names 'x', which is a cascade, and a"),
        ({"stages": [{**L6, "keep": 9}, L12], "aliases": ["MiniLM-L6"]}, "'minilm-l6' names both minilm-l6 and x"),
        ({"stages": [{**L6, "keep": 9}, L12], "aliases": ["Y"]}, "'y' names both x and y"),
        ({"stages": [{**L6, "keep": 9}, L12], "tier": "fast"}, "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_cascade_is_refused(catalog: Catalog, block: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        _with(catalog, x=block, y={"stages": [{**L6, "keep": 5}, L12]})


def test_a_cascade_named_as_a_variant_is_refused(catalog: Catalog) -> None:
    with pytest.raises(ValidationError, match=r"cascades.minilm-l6: a variant has this name"):
        _with(catalog, **{"minilm-l6": {"stages": [{**L6, "keep": 5}, L12]}})


def test_a_stage_may_keep_all_that_it_is_given(catalog: Catalog) -> None:
    assert _with(catalog, x={"stages": [{**L6, "keep": 9}, {**L6, "keep": 9}, L12]}).cascades["x"].name == "x"


def test_a_mistake_in_a_cascade_is_told_with_its_line(tmp_path: Path) -> None:
    text = default_catalog_path().read_text(encoding="utf-8")
    path = tmp_path / "catalog.yaml"
    path.write_text(text.replace("keep: 20", "keep: few"), encoding="utf-8")
    line = text[: text.index("keep: 20")].count("\n") + 1
    with pytest.raises(ConfigurationError, match=rf"line {line}: cascades.tiny-then-l12.stages.0.keep: Input should"):
        load_catalog(path)


def test_the_cascades_that_come_with_the_package(catalog: Catalog) -> None:
    assert {name: str(cascade) for name, cascade in catalog.cascades.items()} == {
        "tiny-then-l12": "rerank-tiny → 20 → minilm-l12",
        "l2-then-l12": "tinybert-l2-v2 → 100 → minilm-l12",
    }


def test_every_name_of_a_cascade_finds_it(catalog: Catalog) -> None:
    changed = _with(catalog, x={"stages": [{**L6, "keep": 9}, L12], "aliases": ["acme/Two-Stages"]})
    assert changed.find("X") is changed.find("acme/two-stages") is changed.cascades["x"]


def test_a_cascade_is_as_slow_as_its_slowest_stage_and_costs_all_of_them_at_most(catalog: Catalog) -> None:
    found = catalog.find("tiny-then-l12")
    assert isinstance(found, Cascade)
    assert [variant.name for variant in catalog.variants_of(found)] == ["rerank-tiny", "minilm-l12"]
    assert catalog.tier_of(found) is Tier.ACCURATE
    assert catalog.price_of(found) == pytest.approx(0.0036 + 0.0342)
    assert "tiny-then-l12" not in catalog.pareto_front


def test_only_a_cascade_is_served_with_its_stages_and_answers_by_default(catalog: Catalog) -> None:
    chosen = catalog.only(["tiny-then-l12"])
    assert (list(chosen.variants), list(chosen.cascades)) == (["rerank-tiny", "minilm-l12"], ["tiny-then-l12"])
    assert chosen.default_served is chosen.cascades["tiny-then-l12"]
    assert catalog.only(["tiny-then-l12", "rerank-tiny"]).default == "rerank-tiny"
    assert not catalog.only(["rerank-tiny", "minilm-l12"]).cascades


def test_what_changes_the_catalog_keeps_its_cascades(catalog: Catalog) -> None:
    changed = catalog.with_default("l2-then-l12").in_dtype("fp32")
    assert (changed.default, changed.cascades) == ("l2-then-l12", catalog.cascades)
