import random

import pytest

from training import excerpts as module
from training.excerpts import EACH, SHARE, Excerpts

PASSAGES = ["One. Two? Three.", "only one sentence", "No. Excerpt. Here.", "Four! Five 5.5 is a number."]


def _made() -> Excerpts:
    return Excerpts(PASSAGES, [0, 1, 3], random.Random(1))


def test_an_excerpt_is_some_sentences_in_a_row_but_not_all() -> None:
    excerpts = _made()
    assert excerpts.passages[: len(PASSAGES)] == PASSAGES
    made = excerpts.passages[len(PASSAGES) :]
    assert len(made) == 2 * EACH
    assert set(made[:EACH]) <= {"One.", "Two?", "Three.", "One. Two?", "Two? Three."}
    assert set(made[EACH:]) <= {"Four!", "Five 5.5 is a number."}


def test_a_share_of_a_list_are_excerpts_of_its_passages(monkeypatch: pytest.MonkeyPatch) -> None:
    excerpts, rng = _made(), random.Random(2)
    lists = [excerpts.among([0, 1, 2, 3], rng) for _ in range(1_000)]
    for place in (1, 2):
        assert {each[place] for each in lists} == {place}
    for place in (0, 3):
        own = [each[place] for each in lists if each[place] != place]
        assert len(set(own)) == EACH
        assert all(excerpts.passages[other] in PASSAGES[place] for other in own)
        assert len(own) / len(lists) == pytest.approx(SHARE, abs=0.05)
    monkeypatch.setattr(module, "SHARE", 0.0)
    assert excerpts.among([0, 1, 2, 3], rng) == [0, 1, 2, 3]
