from typing import Any

import pytest
from pydantic import ValidationError

from serve_app.catalog import Catalog, Tier
from serve_app.errors import ConfigurationError

PUBLISHED = {  # hub id: NDCG@10 on TREC DL 2019, MRR@10 on MS MARCO dev, docs/s on a V100
    "cross-encoder/ms-marco-TinyBERT-L2-v2": (69.84, 32.56, 9000),
    "cross-encoder/ms-marco-MiniLM-L2-v2": (71.01, 34.85, 4100),
    "cross-encoder/ms-marco-MiniLM-L4-v2": (73.04, 37.70, 2500),
    "cross-encoder/ms-marco-MiniLM-L6-v2": (74.30, 39.01, 1800),
    "cross-encoder/ms-marco-MiniLM-L12-v2": (74.31, 39.02, 960),
    "cross-encoder/ms-marco-TinyBERT-L2": (67.43, 30.15, 9000),
    "cross-encoder/ms-marco-TinyBERT-L4": (68.09, 34.50, 2900),
    "cross-encoder/ms-marco-TinyBERT-L6": (69.57, 36.13, 680),
    "cross-encoder/ms-marco-electra-base": (71.99, 36.41, 340),
    "nboost/pt-tinybert-msmarco": (63.63, 28.80, 2900),
    "nboost/pt-bert-base-uncased-msmarco": (70.94, 34.75, 340),
    "nboost/pt-bert-large-msmarco": (73.36, 36.48, 100),
    "Capreolus/electra-base-msmarco": (71.23, 36.89, 340),
    "amberoad/bert-multilingual-passage-reranking-msmarco": (68.40, 35.54, 330),
    "sebastian-hofstaetter/distilbert-cat-margin_mse-T2-msmarco": (72.82, 37.88, 720),
}

SERVING = {"gpu_share": 0.5, "token_budget": 1024, "latency_target_ms": 500}


def test_the_catalog_holds_the_published_table(catalog: Catalog) -> None:
    figures = {v.hub_id: v.figures for v in catalog.variants.values() if not v.bundled}
    assert {k: (f.ndcg10, f.mrr10, f.docs_per_second_v100) for k, f in figures.items()} == PUBLISHED


def test_prices_follow_the_rule_that_the_file_states(catalog: Catalog) -> None:
    for variant in catalog.variants.values():
        by_rule = 0.008 * 4_100 / variant.figures.docs_per_second_v100
        assert variant.price_per_1k_docs == pytest.approx(by_rule, abs=5e-5), variant.name


def test_a_latency_target_is_about_twice_what_the_request_takes_alone(catalog: Catalog) -> None:
    for variant in catalog.variants.values():
        serving = variant.serving
        alone_ms = 1_000 * 100 / (variant.figures.docs_per_second_v100 * serving.gpu_share)
        assert 1.9 * alone_ms <= serving.latency_target_ms <= 2.4 * alone_ms, variant.name


def test_the_pareto_front(catalog: Catalog) -> None:
    assert catalog.pareto_front == {"tinybert-l2-v2", "minilm-l2", "minilm-l4", "minilm-l6", "minilm-l12"}


def test_equal_figures_do_not_dominate_each_other(catalog: Catalog) -> None:
    figures = catalog.variants["minilm-l6"].figures
    assert not figures.dominates(figures)


@pytest.mark.parametrize(
    "name",
    [
        "minilm-l6",
        "MiniLM-L6",
        "cross-encoder/ms-marco-MiniLM-L6-v2",
        "cross-encoder/ms-marco-MiniLM-L-6-v2",
        "CROSS-ENCODER/MS-MARCO-MINILM-L-6-V2",
        "ms-marco-MiniLM-L6-v2",
    ],
)
def test_every_name_of_a_variant_finds_it(catalog: Catalog, name: str) -> None:
    found = catalog.find(name)
    assert found is not None
    assert found.name == "minilm-l6"


def test_no_two_variants_share_a_name(catalog: Catalog) -> None:
    assert len(catalog.names) == len({name.casefold() for each in catalog.every for name in each.names()})
    assert set(catalog.names.values()) == {*catalog.variants, *catalog.cascades}


def test_tiers_follow_the_published_speed(catalog: Catalog) -> None:
    for variant in catalog.variants.values():
        speed = variant.figures.docs_per_second_v100
        expected = Tier.FAST if speed >= 2_500 else Tier.BALANCED if speed >= 1_000 else Tier.ACCURATE
        assert variant.tier == expected


def _edited(catalog: Catalog, **variant: Any) -> dict[str, Any]:
    data = catalog.model_dump(mode="json")
    data["variants"]["minilm-l6"].update(variant)
    return data


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"tier": "fast"}, "1800 docs/s make it balanced, not fast"),
        ({"aliases": ["minilm-l12"]}, "'minilm-l12' names both minilm-l6 and minilm-l12"),
        ({"labels": 3}, "Input should be 1 or 2"),
        ({"hub_id": "../../etc"}, "String should match pattern"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
        ({"serving": SERVING | {"gpu_share": 1.5}}, "less than or equal to 1"),
        ({"serving": SERVING | {"min_replicas": 9}}, "is above max_replicas"),
        ({"serving": SERVING | {"latency_target_ms": 110}}, "100 documents alone take 111 on 0.5 of a V100"),
    ],
)
def test_a_wrong_variant_is_refused(catalog: Catalog, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Catalog.model_validate(_edited(catalog, **change))


def test_a_default_that_is_no_variant_is_refused(catalog: Catalog) -> None:
    with pytest.raises(ValidationError, match="default names 'minilm'"):
        Catalog.model_validate({**catalog.model_dump(mode="json"), "default": "minilm"})


def test_only_keeps_the_default_when_it_is_among_them(catalog: Catalog) -> None:
    assert catalog.only(["minilm-l6", "rerank-tiny"]).default == "rerank-tiny"
    restricted = catalog.only(["cross-encoder/ms-marco-MiniLM-L-6-v2", "minilm-l4"])
    assert (restricted.default, list(restricted.variants)) == ("minilm-l6", ["minilm-l6", "minilm-l4"])
    assert restricted.find("minilm-l12") is None


def test_another_default(catalog: Catalog) -> None:
    changed = catalog.with_default("cross-encoder/ms-marco-MiniLM-L12-v2")
    assert (changed.default, changed.variants) == ("minilm-l12", catalog.variants)
    with pytest.raises(ConfigurationError, match="no variant 'minilm-l7'"):
        catalog.with_default("minilm-l7")


def test_only_names_what_it_does_not_know(catalog: Catalog) -> None:
    with pytest.raises(ConfigurationError, match="no variant 'minilm-l7'; it has tinybert-l2-v2, minilm-l2"):
        catalog.only(["minilm-l7"])


def test_in_dtype_changes_nothing_else(catalog: Catalog) -> None:
    changed = catalog.in_dtype("fp32")
    assert {v.serving.dtype for v in changed.variants.values()} == {"fp32"}
    assert changed.in_dtype("auto") == catalog
