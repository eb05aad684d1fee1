from dataclasses import replace

import pytest

from serve_app.cluster.replica import BATCHES_AT_ONCE, HALVED_EVERY_S, Kind, Replica

BUDGET = 100


@pytest.fixture
def replica() -> Replica:
    return Replica(Kind(tokens_per_s=10, token_budget=BUDGET, starts_in_s=0), since=0)


def _released(replica: Replica, now: float = 0.0) -> list[int]:
    batch = replica.release(now)
    assert batch is not None
    return [work.request for work in batch[1]]


def test_the_shortest_goes_first_and_a_batch_holds_the_budget(replica: Replica) -> None:
    for request, tokens in enumerate((90, 20, 30, 60)):
        replica.add(request, tokens, now=0)
    assert _released(replica) == [1, 2]
    assert _released(replica) == [3]
    replica.batches = 0
    assert _released(replica) == [0]
    replica.batches = 0
    assert replica.release(0) is None


def test_a_large_request_takes_several_batches(replica: Replica) -> None:
    replica.add(0, 2.5 * BUDGET, now=0)
    ends = []
    for _ in range(3):
        batch = replica.release(0)
        assert batch is not None
        ends.append(batch[0])
        replica.batches = 0
    assert (ends[-1], sorted(ends)) == (25.0, ends)
    assert replica.busy_s == 25.0


def test_waiting_makes_a_request_look_shorter(replica: Replica) -> None:
    replica.add(0, 90, now=0)
    replica.add(1, 30, now=2 * HALVED_EVERY_S)
    assert _released(replica, now=2 * HALVED_EVERY_S)[0] == 0


def test_a_short_request_looks_shorter_sooner(replica: Replica) -> None:
    """The first takes a second, and looks like a quarter of itself after four."""
    replica.kind = replace(replica.kind, tokens_per_s=90.0)
    replica.add(0, 90, now=0)
    replica.add(1, 30, now=4)
    assert _released(replica, now=4)[0] == 0


def test_the_next_batch_is_settled_while_one_is_computed_and_ends_after_it(replica: Replica) -> None:
    for request in range(BATCHES_AT_ONCE + 1):
        replica.add(request, BUDGET, now=0)
    first, second = replica.release(0), replica.release(0)
    assert first is not None
    assert second is not None
    assert (first[0], second[0]) == (10.0, 20.0)
    assert replica.release(0) is None


def test_another_replica_could_begin_all_but_the_largest(replica: Replica) -> None:
    assert replica.movable_tokens() == 0
    replica.add(0, 500, now=0)
    assert replica.movable_tokens() == 0
    replica.add(1, 30, now=0)
    assert replica.movable_tokens() == 30
