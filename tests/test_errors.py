import pickle
from collections.abc import Iterator

import pytest

from serve_app import errors
from serve_app.errors import RerankError


def _tree(root: type[RerankError]) -> Iterator[type[RerankError]]:
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield child
            yield from _tree(child)


EVERY: list[type[RerankError]] = [RerankError, *_tree(RerankError)]


@pytest.mark.parametrize("kind", EVERY)
def test_an_error_survives_the_way_through_ray(kind: type[RerankError]) -> None:
    there = pickle.loads(pickle.dumps(kind("say what", "query")))
    assert isinstance(there, kind)
    assert (there.message, there.param, str(there)) == ("say what", "query", "say what")


@pytest.mark.parametrize("kind", [kind for kind in EVERY if kind is not errors.ConfigurationError])
def test_the_drawn_tree_is_the_real_one(kind: type[RerankError]) -> None:
    assert errors.__doc__ is not None
    drawn = next(line for line in errors.__doc__.splitlines() if kind.__name__ in line.split())
    assert drawn.split()[-2:] == [str(kind.status), kind.code]


def test_the_time_to_come_back_survives_the_way_through_ray() -> None:
    there = pickle.loads(pickle.dumps(errors.Overloaded("full", None, 2.5)))
    assert (there.message, there.param, there.retry_after_s) == ("full", None, 2.5)


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in EVERY]
    assert len(set(codes)) == len(codes)


def test_a_message_has_a_bound() -> None:
    assert len(RerankError("x" * 10_000).message) == errors.MESSAGE_LIMIT
