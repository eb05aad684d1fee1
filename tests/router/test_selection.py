import pytest

from serve_app.catalog import Catalog
from serve_app.errors import InvalidRequest, UnknownModel
from serve_app.router.ranking import Wish
from serve_app.router.selection import choose


@pytest.mark.parametrize(
    ("wish", "variant", "because"),
    [
        (None, "rerank-tiny", "default route"),
        ("minilm-l6", "minilm-l6", "named"),
        ("  MiniLM-L6 ", "minilm-l6", "named"),
        ("cross-encoder/ms-marco-MiniLM-L-6-v2", "minilm-l6", "named"),
        ("tier:fast", "minilm-l4", "best of tier fast"),
        ("tier:balanced", "minilm-l6", "best of tier balanced"),
        ("Tier:Accurate", "minilm-l12", "best of tier accurate"),
    ],
)
def test_a_wish_finds_its_variant(catalog: Catalog, wish: str | None, variant: str, because: str) -> None:
    choice = choose(catalog, Wish(wish))
    assert (choice.variant.name, choice.because) == (variant, because)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("minilm-l7", "the nearest names are minilm-l6"),
        ("ms-marco-MiniLM-L6", "minilm-l6"),
        ("gpt", "the names are tinybert-l2-v2, minilm-l2"),
        ("tier:huge", "there is no tier 'huge'; the tiers are fast, balanced, accurate"),
        ("mini lm l6", "minilm-l6"),
    ],
)
def test_an_unknown_name_is_answered_with_the_nearest(catalog: Catalog, wish: str, said: str) -> None:
    with pytest.raises(UnknownModel) as caught:
        choose(catalog, Wish(wish))
    assert said in caught.value.message


def test_a_long_name_is_not_repeated_whole(catalog: Catalog) -> None:
    with pytest.raises(UnknownModel) as caught:
        choose(catalog, Wish("m" * 10_000))
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("wish", ["", "   "])
def test_an_empty_name_is_no_name(catalog: Catalog, wish: str) -> None:
    with pytest.raises(InvalidRequest, match="model is empty"):
        choose(catalog, Wish(wish))


def test_a_tier_without_variants_says_so(catalog: Catalog) -> None:
    with pytest.raises(UnknownModel, match="no variant of this catalog is in the tier accurate"):
        choose(catalog.only(["minilm-l6"]), Wish("tier:accurate"))
