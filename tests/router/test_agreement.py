import random
from itertools import combinations

import pytest

from serve_app.router.agreement import Agreement, compare


def test_the_same_order_agrees_and_the_inverse_does_not() -> None:
    order = list(range(30))
    assert compare(order, order) == Agreement(1.0, 1.0, True)
    assert compare(order, order[::-1]) == Agreement(0.0, -1.0, False)


def test_one_document_has_one_order() -> None:
    assert compare([0], [0]) == Agreement(1.0, 1.0, True)


def test_two_neighbours_changed() -> None:
    found = compare([0, 1, 2, 3], [1, 0, 2, 3])
    assert (found.overlap, found.same_first) == (1.0, False)
    assert found.tau == pytest.approx(1 - 2 / 6)


def test_the_overlap_is_of_the_first_ten() -> None:
    order = list(range(20))
    assert compare(order, [*range(5), *range(15, 20), *range(5, 15)]).overlap == 0.5


def test_tau_is_that_of_its_definition() -> None:
    """Concordant pairs less discordant ones, by all pairs."""
    rng = random.Random(3)
    for length in (2, 3, 17, 60):
        one, other = (rng.sample(range(length), length) for _ in range(2))
        pairs = list(combinations(range(length), 2))
        agreeing = sum((one.index(a) < one.index(b)) == (other.index(a) < other.index(b)) for a, b in pairs)
        assert compare(one, other).tau == pytest.approx((2 * agreeing - len(pairs)) / len(pairs))
