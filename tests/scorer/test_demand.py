import pytest

from serve_app.scorer.demand import STEP_S, WINDOW_S, Arrivals, ReplicaDemand, variant_demand


def test_arrivals_are_those_of_the_window() -> None:
    arrivals = Arrivals()
    arrivals.add(600, now=100.0)
    arrivals.add(400, now=104.0)
    assert arrivals.per_s(104.0) == (1_000 / WINDOW_S, 2 / WINDOW_S)
    assert arrivals.per_s(100.0 + WINDOW_S + STEP_S) == (400 / WINDOW_S, 1 / WINDOW_S)
    assert arrivals.per_s(200.0) == (0.0, 0.0)


def test_thousands_of_requests_take_no_more_room_than_the_window_has_steps() -> None:
    arrivals = Arrivals()
    for count in range(20_000):
        arrivals.add(1, now=count / 1_000)
        arrivals.per_s(count / 1_000)
    assert len(arrivals._steps) <= WINDOW_S / STEP_S + 1
    assert arrivals.per_s(20.0)[0] == pytest.approx(1_000, rel=STEP_S / WINDOW_S)


def test_what_a_replica_tells_are_plain_floats_and_is_read_as_it_was_told() -> None:
    told = ReplicaDemand(1, 2, 3, 4).figures()
    assert {type(value) for value in told.values()} == {float}
    assert ReplicaDemand.of({**told, "running_requests": 7.0}) == ReplicaDemand(1, 2, 3, 4)
    assert ReplicaDemand.of({"running_requests": 7.0}) == ReplicaDemand()


def test_the_demand_on_a_variant_is_the_sum_of_what_its_replicas_see() -> None:
    replicas = [ReplicaDemand(3_000, 3, 500, 1_000), ReplicaDemand(1_000, 1, 0, 0), ReplicaDemand(0, 0, 0, 3_000)]
    demand = variant_demand(replicas, queued=2, requests=9, known_pace=77)
    assert (demand.arriving_tokens_per_s, demand.request_tokens, demand.requests) == (4_000, 1_000, 9)
    assert demand.waiting_tokens == 500 + 2 * 1_000
    assert demand.tokens_per_s == 2_000  # the mean of those that have shown theirs


def test_a_pace_that_was_known_is_used_until_another_is() -> None:
    assert variant_demand([ReplicaDemand()], 0, 0, known_pace=77).tokens_per_s == 77
    assert variant_demand([ReplicaDemand()], 0, 0, known_pace=0).tokens_per_s is None
