import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.autoscaling import (
    BUSY,
    CATCH_UP_S,
    LET_GO,
    REPORTS_PER_S,
    SELDOM_S,
    Aim,
    Demand,
    Pacing,
    replicas_needed,
)

PACE = 1_000.0
AIM = Aim(latency_s=2.0)


def _demand(arriving: float = 0.0, waiting: float = 0.0, request: float = 500.0, pace: float | None = PACE) -> Demand:
    return Demand(arriving, waiting, request, pace, requests=1.0 if arriving or waiting else 0.0)


@pytest.mark.parametrize(
    ("demand", "running", "target", "replicas", "reason"),
    [
        (_demand(), 2, 2, 0, "idle"),
        (Demand(0.0, 0.0, 0.0, None, requests=1.0), 0, 0, 1, "pace unknown"),  # one takes long, and nothing else came
        (_demand(500, pace=None), 1, 3, 3, "pace unknown"),
        (_demand(BUSY * PACE), 1, 1, 1, "steady"),
        (_demand(BUSY * PACE + 1), 1, 1, 2, "arrivals"),
        (_demand(10 * BUSY * PACE), 1, 1, 10, "arrivals"),
        (_demand(10 * BUSY * PACE), 1, 10, 10, "steady"),  # nine are starting: not asked for again
        (_demand(10 * BUSY * PACE), 0, 0, 10, "arrivals"),  # from none
        # One replica works 1.5 s of the 2 s that a request may take on what waits, and needs the rest for the request.
        (_demand(400, waiting=1.5 * PACE), 1, 1, 1, "steady"),
        (_demand(400, waiting=1.5 * PACE + 0.59 * CATCH_UP_S * PACE), 1, 1, 1, "steady"),
        (_demand(400, waiting=1.5 * PACE + 0.61 * CATCH_UP_S * PACE), 1, 1, 2, "backlog"),
        (_demand(3_000, waiting=1.5 * PACE + 5 * CATCH_UP_S * PACE), 1, 1, 8, "backlog"),
        (_demand(3_000, waiting=1.5 * PACE + 5 * CATCH_UP_S * PACE), 1, 6, 6, "steady"),  # five more will do it
        (_demand(3_000, waiting=6_000 + 5 * CATCH_UP_S * PACE), 4, 6, 6, "steady"),  # two of the five are starting
        (_demand(400, waiting=1.0, request=2_500), 1, 1, 1, "steady"),  # it alone takes longer than the target
        (_demand(10), 5, 5, 1, "spare"),
        (_demand(10, waiting=5 * 1.5 * PACE + 1), 5, 5, 5, "steady"),  # something waits too long
        (_demand(3 * BUSY * LET_GO * PACE), 4, 4, 3, "spare"),
        (_demand(3 * BUSY * LET_GO * PACE + 1), 4, 4, 4, "steady"),  # three would do, and be too busy to stay three
    ],
)
def test_what_is_needed(demand: Demand, running: int, target: int, replicas: int, reason: str) -> None:
    need = replicas_needed(demand, AIM, running, target)
    assert (need.replicas, need.reason) == (replicas, reason)


def test_the_reason_has_its_figures() -> None:
    assert replicas_needed(_demand(1_234), AIM, 1, 1).because == (
        "1,234 tokens/s arrive, 0 wait too long, a replica does 1,000 tokens/s"
    )


@given(st.floats(0, 1e7), st.floats(0, 1e9), st.integers(0, 500), st.integers(0, 500))
def test_a_decision_that_is_acted_on_stands(arriving: float, waiting: float, running: int, target: int) -> None:
    demand = _demand(arriving, waiting)
    need = replicas_needed(demand, AIM, running, target)
    if need.replicas > target:
        assert replicas_needed(demand, AIM, running, need.replicas).replicas == need.replicas
    if demand.requests:
        assert need.replicas >= 1


@given(st.floats(1, 1e6), st.floats(0.1, 0.9))
def test_a_variant_of_any_size_is_never_busier_than_it_may_be(arriving: float, busy: float) -> None:
    need = replicas_needed(_demand(arriving), Aim(2.0, busy), 1, 1)
    assert need.replicas >= math.floor(arriving / (PACE * busy))


@pytest.mark.parametrize(("most", "every_s"), [(8, 2.0), (1_000, 5.0), (10_000, SELDOM_S)])
def test_of_very_many_replicas_each_reports_less_often(most: int, every_s: float) -> None:
    pacing = Pacing.of(most)
    assert pacing.report_every_s == every_s
    assert pacing.report_every_s < pacing.up_after_s < pacing.look_back_s
    assert min(most, REPORTS_PER_S * SELDOM_S) / pacing.report_every_s <= REPORTS_PER_S


def test_a_variant_of_few_replicas_has_the_usual_pacing() -> None:
    assert Pacing.of(8) == Pacing()
