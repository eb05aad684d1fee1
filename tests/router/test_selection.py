import pytest

from serve_app.catalog import Catalog
from serve_app.errors import Forbidden, InvalidRequest, NoneFits, UnknownModel
from serve_app.router.ranking import Bounds, Choice, Wish
from serve_app.router.selection import Candidate, choose, needs_candidates

FLEET = {"rerank-tiny": 3.0, "minilm-l2": 9.0, "minilm-l4": 17.0, "minilm-l6": 25.0, "minilm-l12": 50.0}
"""Milliseconds that these are predicted to take."""
ALL_READY = frozenset(FLEET)


def _candidates(
    catalog: Catalog, ready: frozenset[str] = ALL_READY, unavailable: frozenset[str] = frozenset()
) -> list[Candidate]:
    return [
        Candidate(
            catalog.variants[name],
            "unavailable" if name in unavailable else "ready" if name in ready else "idle",
            milliseconds,
        )
        for name, milliseconds in FLEET.items()
    ]


def _auto(catalog: Catalog, bounds: Bounds, ready: frozenset[str] = ALL_READY) -> Choice:
    return choose(catalog, Wish("auto", bounds), _candidates(catalog, ready))


@pytest.mark.parametrize(
    ("wish", "variant", "because"),
    [
        (None, "rerank-tiny", "default route"),
        (" Auto", "rerank-tiny", "default route"),
        ("minilm-l6", "minilm-l6", "named"),
        ("  MiniLM-L6 ", "minilm-l6", "named"),
        ("cross-encoder/ms-marco-MiniLM-L-6-v2", "minilm-l6", "named"),
        ("tier:fast", "minilm-l4", "best of tier fast"),
        ("tier:balanced", "minilm-l6", "best of tier balanced"),
        ("Tier:Accurate", "minilm-l12", "best of tier accurate"),
    ],
)
def test_a_wish_finds_its_variant(catalog: Catalog, wish: str | None, variant: str, because: str) -> None:
    choice = choose(catalog, Wish(wish), _candidates(catalog))
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


@pytest.mark.parametrize(
    ("bounds", "variant", "because"),
    [
        (Bounds(max_latency_ms=30), "minilm-l6", "most accurate that fits 30 ms, 25 ms predicted"),
        (Bounds(max_latency_ms=25), "minilm-l6", "25 ms predicted"),
        (Bounds(max_latency_ms=24.9), "minilm-l4", "17 ms predicted"),
        (Bounds(max_latency_ms=1_000), "minilm-l12", "50 ms predicted"),
        (Bounds(max_price_per_1k_docs=0.0131), "minilm-l4", "that fits $0.0131 per 1,000 documents"),
        (Bounds(max_latency_ms=10, min_ndcg=70), "minilm-l2", "fits 10 ms and an NDCG@10 of 70"),
        (Bounds(min_ndcg=70), "minilm-l2", "cheapest with an NDCG@10 of at least 70"),
        (Bounds(min_ndcg=71.02), "minilm-l4", "cheapest"),
        (Bounds(min_ndcg=0), "rerank-tiny", "cheapest"),
    ],
)
def test_bounds_find_their_variant(catalog: Catalog, bounds: Bounds, variant: str, because: str) -> None:
    for model in (None, "auto"):
        choice = choose(catalog, Wish(model, bounds), _candidates(catalog))
        assert (choice.variant.name, choice.degraded, choice.wished) == (variant, False, True)
        assert because in choice.because


@pytest.mark.parametrize(
    ("bounds", "variant", "said"),
    [
        (Bounds(max_latency_ms=2), "rerank-tiny", "no variant fits 2 ms; the fastest is rerank-tiny at 3 ms"),
        (
            Bounds(max_latency_ms=2, min_ndcg=70),
            "minilm-l2",
            "no variant fits 2 ms and an NDCG@10 of 70; the fastest is minilm-l2 at 9 ms",
        ),
        (
            Bounds(max_price_per_1k_docs=0.001),
            "rerank-tiny",
            "no variant fits $0.001 per 1,000 documents; the fastest is rerank-tiny at 3 ms and $0.0036 per 1,000 "
            "documents",
        ),
        (Bounds(min_ndcg=74, max_price_per_1k_docs=0.01), "rerank-tiny", "at 3 ms and $0.0036"),
    ],
)
def test_where_none_fits_the_fastest_answers_unless_the_caller_is_strict(
    catalog: Catalog, bounds: Bounds, variant: str, said: str
) -> None:
    choice = _auto(catalog, bounds)
    assert (choice.variant.name, choice.degraded) == (variant, True)
    assert said in choice.because
    with pytest.raises(NoneFits) as caught:
        _auto(catalog, Bounds(strict=True).or_else(bounds))
    assert said in caught.value.message


def test_a_floor_that_nobody_reaches_names_the_best(catalog: Catalog) -> None:
    for bounds in (Bounds(min_ndcg=80), Bounds(min_ndcg=80, max_latency_ms=1_000)):
        with pytest.raises(InvalidRequest, match=r"NDCG@10 of 80; the best is minilm-l12 at 74\.31") as caught:
            _auto(catalog, bounds)
        assert caught.value.param == "min_ndcg"


@pytest.mark.parametrize(
    ("ready", "bounds", "variant", "degraded", "said"),
    [
        ({"rerank-tiny"}, Bounds(max_latency_ms=30), "rerank-tiny", False, "; minilm-l6 has no replica ready"),
        ({"minilm-l6"}, Bounds(max_latency_ms=30), "minilm-l6", False, "25 ms predicted"),
        (set(), Bounds(max_latency_ms=30), "minilm-l6", True, "it has no replica yet and starts first"),
        (set(), Bounds(max_price_per_1k_docs=0.01), "minilm-l2", False, "starts first"),
        ({"rerank-tiny"}, Bounds(max_latency_ms=30, min_ndcg=70), "minilm-l6", True, "starts first"),
        ({"minilm-l12"}, Bounds(max_latency_ms=30), "minilm-l12", True, "the fastest is minilm-l12 at 50 ms"),
        ({"minilm-l12"}, Bounds(min_ndcg=70), "minilm-l2", False, "starts first"),
    ],
)
def test_a_variant_that_has_to_start_comes_after_those_that_are_ready(
    catalog: Catalog, ready: set[str], bounds: Bounds, variant: str, degraded: bool, said: str
) -> None:
    choice = _auto(catalog, bounds, frozenset(ready))
    assert (choice.variant.name, choice.degraded) == (variant, degraded)
    assert choice.because.endswith(said)


def test_a_strict_caller_does_not_wait_for_a_start(catalog: Catalog) -> None:
    with pytest.raises(NoneFits, match="none is ready, and minilm-l6 has to start"):
        _auto(catalog, Bounds(max_latency_ms=30, strict=True), frozenset())


@pytest.mark.parametrize(
    ("bounds", "variant", "degraded"),
    [
        (Bounds(max_latency_ms=1_000), "minilm-l4", False),
        (Bounds(max_latency_ms=10), "minilm-l2", False),
        (Bounds(max_latency_ms=1), "rerank-tiny", True),
        (Bounds(min_ndcg=70), "minilm-l4", False),
    ],
)
def test_bounds_narrow_within_a_tier(catalog: Catalog, bounds: Bounds, variant: str, degraded: bool) -> None:
    choice = choose(catalog, Wish("tier:fast", bounds), _candidates(catalog))
    assert (choice.variant.name, choice.degraded) == (variant, degraded)
    assert " of tier fast " in choice.because


def test_a_floor_above_a_tier_names_the_best_of_it(catalog: Catalog) -> None:
    with pytest.raises(InvalidRequest, match=r"no variant of tier fast .* the best is minilm-l4 at 73\.04"):
        choose(catalog, Wish("tier:fast", Bounds(min_ndcg=74)), _candidates(catalog))


def test_a_name_wins_over_bounds_and_says_so(catalog: Catalog) -> None:
    choice = choose(catalog, Wish("minilm-l12", Bounds(max_latency_ms=1, min_ndcg=99, strict=True)))
    assert (choice.variant.name, choice.degraded) == ("minilm-l12", False)
    assert choice.warnings == (
        "max_latency_ms and min_ndcg not considered: minilm-l12 was named; say `auto` to have a variant chosen",
    )
    assert not choose(catalog, Wish("minilm-l12", Bounds(strict=True))).warnings


@pytest.mark.parametrize(
    "wish", [Wish("tier:fast"), Wish("auto", Bounds(max_latency_ms=1_000)), Wish(None, Bounds(1e3))]
)
def test_what_cannot_answer_is_passed_over_while_another_can(catalog: Catalog, wish: Wish) -> None:
    best = choose(catalog, wish, _candidates(catalog)).variant.name
    chosen = choose(catalog, wish, _candidates(catalog, unavailable=frozenset({best}))).variant.name
    assert chosen == {"minilm-l4": "minilm-l2", "minilm-l12": "minilm-l6"}[best]
    # Its answer says why it cannot.
    assert choose(catalog, wish, _candidates(catalog, unavailable=ALL_READY)).variant.name == best


@pytest.mark.parametrize("wish", [Wish("tier:fast"), Wish(None, Bounds(min_ndcg=1)), Wish("auto", Bounds(1))])
def test_a_caller_who_may_use_none_of_them_is_told(catalog: Catalog, wish: Wish) -> None:
    with pytest.raises(Forbidden):
        choose(catalog, wish, [])


@pytest.mark.parametrize(
    ("wish", "needed"),
    [
        (Wish(), False),
        (Wish("auto"), False),
        (Wish("minilm-l6", Bounds(1)), False),
        (Wish("tier:fast"), True),
        (Wish("AUTO", Bounds(1)), True),
        (Wish(None, Bounds(min_ndcg=1)), True),
    ],
)
def test_only_where_the_service_chooses_it_has_to_know_what_is_ready(wish: Wish, needed: bool) -> None:
    assert needs_candidates(wish) == needed
