"""Which lane answers: as often as its weight says, always the same for a key, and moved by no other lane's weight."""

from collections import Counter
from collections.abc import Sequence

import pytest

from serve_app.router.traffic import followers_of, key_of, lane_of
from serve_app.routes import GuardLimits, Lane, Route, ShadowLane, Sticky

KEYS = [f"key {number}" for number in range(20_000)]
GUARD = GuardLimits(compare=0.25)


def _route(*weights: tuple[str, float], name: str = "search") -> Route:
    return Route(name=name, lanes=tuple(Lane(variant=variant, weight=weight) for variant, weight in weights))


def _answering(route: Route, keys: Sequence[str] = KEYS) -> list[str]:
    return [lane_of(route, key).variant for key in keys]


def test_lanes_answer_as_often_as_their_weights_say() -> None:
    found = Counter(_answering(_route(("a", 60), ("b", 30), ("c", 10), ("d", 0))))
    assert "d" not in found
    for variant, share in (("a", 0.6), ("b", 0.3), ("c", 0.1)):
        assert found[variant] / len(KEYS) == pytest.approx(share, abs=0.012)  # three standard deviations and a bit


def test_weights_are_shares_of_each_other() -> None:
    assert _answering(_route(("a", 0.6), ("b", 0.4))) == _answering(_route(("a", 600), ("b", 400)))


def test_the_order_of_the_lanes_says_nothing() -> None:
    assert _answering(_route(("a", 60), ("b", 40))) == _answering(_route(("b", 40), ("a", 60)))


def test_a_key_has_the_lane_it_always_had() -> None:
    """Written down from a run of long ago: another hash would send every user of a running service elsewhere."""
    lanes = [lane_of(_route(("a", 50), ("b", 50)), f"user {number}").variant for number in range(24)]
    assert "".join(lanes) == "aaabaaaabbbaaabaaaaababa"


def test_routes_do_not_experiment_on_the_same_keys() -> None:
    one, other = _answering(_route(("a", 50), ("b", 50))), _answering(_route(("a", 50), ("b", 50), name="other"))
    assert sum(a == b for a, b in zip(one, other, strict=True)) / len(KEYS) == pytest.approx(0.5, abs=0.012)


@pytest.mark.parametrize(
    ("before", "after", "moves"),
    [
        ((95, 5), (90, 10), {("a", "b"): 0.05}),
        ((90, 10), (95, 5), {("b", "a"): 0.05}),
        ((100, 0), (99, 1), {("a", "b"): 0.01}),
        ((50, 50), (100, 0), {("b", "a"): 0.5}),
    ],
)
def test_a_change_moves_the_share_that_must_move(
    before: tuple[int, int], after: tuple[int, int], moves: dict[tuple[str, str], float]
) -> None:
    _check_moves(KEYS, _two(before), _two(after), moves, 0.004)


@pytest.mark.slow
def test_a_change_moves_the_share_that_must_move_of_a_million_keys() -> None:
    keys = [f"key {number}" for number in range(1_000_000)]
    _check_moves(keys, _two((95, 5)), _two((75, 25)), {("a", "b"): 0.2}, 0.0012)


def test_a_third_lane_takes_from_both_and_moves_nothing_between_them() -> None:
    before, after = _route(("a", 60), ("b", 40)), _route(("a", 60), ("b", 40), ("c", 10))
    _check_moves(KEYS, before, after, {("a", "c"): 0.6 * 10 / 110, ("b", "c"): 0.4 * 10 / 110}, 0.006)


def _two(weights: tuple[int, int]) -> Route:
    return _route(("a", weights[0]), ("b", weights[1]))


def _check_moves(
    keys: Sequence[str], before: Route, after: Route, moves: dict[tuple[str, str], float], within: float
) -> None:
    """Only these moves happen, and each of so large a share of the keys."""
    pairs = zip(_answering(before, keys), _answering(after, keys), strict=True)
    found = Counter(pair for pair in pairs if pair[0] != pair[1])
    assert set(found) == set(moves)
    for move, share in moves.items():
        assert found[move] / len(keys) == pytest.approx(share, abs=within)


@pytest.mark.parametrize(
    ("sticky", "user", "expected"),
    [
        (Sticky.QUERY, "ann", "query sea"),
        (Sticky.USER, "ann", "user ann"),
        (Sticky.USER, None, "query sea"),
        (Sticky.USER, "", "query sea"),
        (Sticky.KEY, "ann", "key k1"),
    ],
)
def test_what_a_route_sticks_to(sticky: Sticky, user: str | None, expected: str) -> None:
    route = Route(name="search", lanes=(Lane(variant="a", weight=1),), sticky=sticky)
    assert key_of(route, user, "k1", "sea") == expected


def test_text_that_is_not_unicode_has_a_lane() -> None:
    assert lane_of(_two((50, 50)), "query \ud800").variant in {"a", "b"}


def test_shadows_follow_their_share_whatever_lane_answers() -> None:
    route = Route(
        name="search",
        lanes=(Lane(variant="a", weight=1), Lane(variant="b", weight=1)),
        shadows=(ShadowLane(variant="c", sample=0.1), ShadowLane(variant="a", sample=1)),
    )
    found = Counter(name for key in KEYS for name in followers_of(route, route.lanes[1], key))
    assert found["c"] / len(KEYS) == pytest.approx(0.1, abs=0.008)
    assert found["a"] == len(KEYS)
    assert {name for key in KEYS for name in followers_of(route, route.lanes[0], key)} == {"c"}  # not its own shadow


def test_a_canary_is_compared_with_its_baseline() -> None:
    canary = Lane(variant="new", weight=5, guard=GUARD)
    route = Route(name="search", lanes=(Lane(variant="small", weight=1), Lane(variant="old", weight=94), canary))
    found = Counter(name for key in KEYS for name in followers_of(route, canary, key))
    assert set(found) == {"old"}
    assert found["old"] / len(KEYS) == pytest.approx(0.25, abs=0.012)
    assert not any(followers_of(route, route.lanes[1], key) for key in KEYS)
