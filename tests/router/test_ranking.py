import math

from hypothesis import given
from hypothesis import strategies as st

from serve_app.router.ranking import Ranked, Usage, rank


def test_best_first_and_ties_by_index() -> None:
    assert [r.index for r in rank((1.0, 3.0, 1.0, 3.0), None)] == [1, 3, 0, 2]


def test_top_n_cuts_and_may_be_more_than_there_is() -> None:
    assert [r.index for r in rank((1.0, 3.0, 2.0), 2)] == [1, 2]
    assert len(rank((1.0, 3.0, 2.0), 50)) == 3


@given(st.floats(-1_000, 1_000))
def test_probability_is_the_sigmoid(logit: float) -> None:
    probability = Ranked(0, logit).probability
    assert 0.0 <= probability <= 1.0
    if abs(logit) < 700:
        assert math.isclose(probability, 1 / (1 + math.exp(-logit)), rel_tol=1e-12)


def test_probabilities_of_close_high_logits_differ() -> None:
    assert Ranked(0, 11.01).probability > Ranked(0, 11.0).probability


def test_a_search_unit_is_started_by_every_hundredth_document() -> None:
    assert [Usage(0, 1, n).search_units for n in (1, 100, 101, 1_000)] == [1, 1, 2, 10]
