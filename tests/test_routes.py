"""What an operator may write of routes, what is refused with which sentence, and what moves a route's traffic."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from serve_app.catalog import Catalog
from serve_app.catalog_file import load_routes, shipped_config
from serve_app.errors import ConfigurationError
from serve_app.routes import GuardLimits, Lane, Route, RouteTable

LANES = [{"variant": "minilm-l6", "weight": 90}, {"variant": "minilm-l12", "weight": 10, "guard": {}}]


def _table(**terms: Any) -> RouteTable:
    return RouteTable.model_validate({"routes": {"search": {"lanes": LANES, **terms}}})


def _route(**terms: Any) -> Route:
    return _table(**terms).routes["search"]


def _weights(route: Route) -> dict[str, float]:
    return {lane.variant: lane.weight for lane in route.lanes}


def test_a_route_is_called_as_its_key() -> None:
    route = _route()
    assert (route.name, route.baseline.variant) == ("search", "minilm-l6")
    assert route.canary is not None
    assert route.canary.variant == "minilm-l12"
    assert route.share(route.canary) == 0.1
    assert str(route) == "search: minilm-l6 90, minilm-l12 10 (canary)"


@pytest.mark.parametrize(
    ("terms", "complaint"),
    [
        ({"lanes": []}, "at least 1 item"),
        ({"lanes": [{"variant": "a", "weight": 0}, {"variant": "b", "weight": 0}]}, "all weights are 0"),
        ({"lanes": [{"variant": "a", "weight": 1}, {"variant": "a", "weight": 2}]}, "a has two lanes"),
        ({"lanes": [{"variant": "a", "weight": -1}]}, "greater than or equal to 0"),
        ({"lanes": [{"variant": "a", "weight": float("nan")}]}, "finite"),
        ({"lanes": [{"variant": "a", "weight": 1, "guard": {}}]}, "the only lane has a guard"),
        ({"lanes": [*LANES, {"variant": "c", "weight": 1, "guard": {}}]}, "two lanes have a guard"),
        ({"ladder": ["tier:fast"]}, "a ladder needs target_ms"),
        ({"shadows": [{"variant": "a", "sample": 0}]}, "greater than 0"),
        ({"sticky": "phone"}, "'query', 'user' or 'key'"),
        ({"weights": 1}, "Extra inputs"),
    ],
)
def test_what_no_route_can_be(terms: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        _table(**terms)


@pytest.mark.parametrize(
    ("name", "terms", "complaint"),
    [
        ("minilm-l6", {}, "routes.minilm-l6: a variant or cascade has this name"),
        ("auto", {}, "auto is what requests say"),
        (
            "search",
            {"lanes": [{"variant": "bge", "weight": 1}]},
            "routes.search names 'bge', which is not in the catalog",
        ),
        ("search", {"lanes": [{"variant": "search", "weight": 1}]}, "names 'search', which is a route"),
        ("search", {"shadows": [{"variant": "other", "sample": 1}]}, "names 'other', which is a route"),
        ("search", {"target_ms": 9, "ladder": ["tier:huge"]}, "'tier:huge', and no variant of the catalog is in that"),
        ("search", {"target_ms": 9, "ladder": ["bge"]}, "names 'bge', which is not in the catalog"),
    ],
)
def test_what_the_catalog_does_not_have(catalog: Catalog, name: str, terms: dict[str, Any], complaint: str) -> None:
    table = RouteTable.model_validate({"routes": {"other": {"lanes": LANES}, name: {"lanes": LANES, **terms}}})
    with pytest.raises(ValueError, match=complaint):
        table.checked(catalog)


def test_names_become_the_short_ones_of_the_catalog(catalog: Catalog) -> None:
    terms = {
        "lanes": [{"variant": "cross-encoder/ms-marco-MiniLM-L6-v2", "weight": 1}],
        "shadows": [{"variant": "MiniLM-L12", "sample": 0.5}],
        "target_ms": 100,
        "ladder": ["tier:fast", "cross-encoder/ms-marco-TinyBERT-L2-v2"],
    }
    route = _table(**terms).checked(catalog).routes["search"]
    assert (route.lanes[0].variant, route.shadows[0].variant) == ("minilm-l6", "minilm-l12")
    assert route.ladder == ("tier:fast", "tinybert-l2-v2")


def test_two_names_of_one_variant_are_two_lanes_of_it(catalog: Catalog) -> None:
    twice = [{"variant": "minilm-l6", "weight": 1}, {"variant": "cross-encoder/ms-marco-MiniLM-L6-v2", "weight": 1}]
    with pytest.raises(ValueError, match="minilm-l6 has two lanes"):
        _table(lanes=twice).checked(catalog)


def test_a_canary_takes_its_percent_from_all_others() -> None:
    route = _route(lanes=[{"variant": "a", "weight": 3}, {"variant": "b", "weight": 1}])
    moved = route.with_canary("c", 20, GuardLimits())
    assert _weights(moved) == {"a": 60, "b": 20, "c": 20}
    assert moved.canary == Lane(variant="c", weight=20, guard=GuardLimits())
    assert _weights(moved.with_canary("c", 100, GuardLimits())) == {"a": 0, "b": 0, "c": 100}
    assert _weights(moved.with_canary("d", 10, GuardLimits())) == {"a": 67.5, "b": 22.5, "d": 10}


def test_a_canary_is_promoted_or_aborted() -> None:
    route = _route().with_canary("minilm-l12", 100, GuardLimits())
    assert route.promoted().lanes == (Lane(variant="minilm-l12", weight=100),)
    assert _weights(route.aborted()) == {"minilm-l6": 100, "minilm-l12": 0}
    assert _weights(route.aborted().with_canary("minilm-l12", 5, GuardLimits())) == {"minilm-l6": 95, "minilm-l12": 5}


@pytest.mark.parametrize("move", [Route.promoted, Route.aborted])
def test_without_a_canary_there_is_nothing_to_promote(move: Any) -> None:
    with pytest.raises(ValueError, match="the route search has no canary"):
        move(_route(lanes=LANES[:1]))


def test_no_lane_is_its_own_canary() -> None:
    with pytest.raises(ValueError, match="minilm-l6 is the only lane of search"):
        _route(lanes=LANES[:1]).with_canary("minilm-l6", 5, GuardLimits())


def test_a_table_gets_and_loses_routes() -> None:
    table = _table()
    other = table.routes["search"].model_copy(update={"name": "other"})
    assert list(table.with_route(other).routes) == ["search", "other"]
    assert list(table.with_route(other).without("search").routes) == ["other"]


def test_the_example_is_one(catalog: Catalog) -> None:
    route = load_routes(shipped_config("routes.yaml"), catalog).routes["search"]
    assert (route.baseline.variant, route.sticky, route.ladder) == ("minilm-l6", "user", ("minilm-l4", "tier:fast"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("routes: {search: {lanes: [{variant: bge, weight: 1}]}}", "routes.search names 'bge', which is not in the"),
        ("routes:\n  search:\n    lanes:\n      - {variant: a, weight: -1}", "line 4: routes.search.lanes.0.weight: "),
        ("routes:\n  search:\n    lanes: []\n  search:\n    lanes: []", "line 4: search is there twice"),
    ],
)
def test_a_wrong_file_is_named_with_its_line(catalog: Catalog, tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "routes.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as raised:
        load_routes(file, catalog)
    assert str(raised.value).startswith(f"routes {file}")
    assert complaint in str(raised.value)
