import itertools

import pytest

from serve_app.autoscaling import Aim, Pacing
from serve_app.cluster.replica import Kind
from serve_app.cluster.scaling import Rule, by_tokens
from serve_app.cluster.simulation import AROUND_S, TOKENS_PER_DOCUMENT, Fleet
from serve_app.cluster.traffic import Request, steady

DOCUMENT_S = 0.01
"""That a replica takes for a document."""
KIND = Kind(TOKENS_PER_DOCUMENT / DOCUMENT_S, 10 * TOKENS_PER_DOCUMENT, starts_in_s=20)
PACING = Pacing(down_after_s=30)


def _rule(most: int = 20, fewest: int = 0) -> Rule:
    return Rule(by_tokens(Aim(1.0)), PACING, 60, fewest, most)


def test_a_request_alone_takes_its_documents() -> None:
    run = Fleet([Request(5.0, 25)], KIND, None).run(1)
    assert list(run.took_s) == pytest.approx([25 * DOCUMENT_S + AROUND_S])
    assert [run.busy_s, run.replica_s] == pytest.approx([25 * DOCUMENT_S, 5.25])


@pytest.mark.parametrize("busy", [0.3, 0.6, 0.8])
def test_one_replica_is_the_queue_of_the_textbook(busy: float) -> None:
    """M/D/1: a request of one batch waits busy / (2 (1 - busy)) times its own time (Pollaczek and Khinchine)."""
    own_s = 10 * DOCUMENT_S
    run = Fleet(steady(busy / own_s, 10, 20_000), KIND, None).run(1)
    waited = sum(run.took_s) / len(run.took_s) - own_s - AROUND_S
    assert waited == pytest.approx(own_s * busy / (2 * (1 - busy)), rel=0.06)
    assert run.busy_s / run.replica_s == pytest.approx(busy, rel=0.02)


def test_more_replicas_share_the_requests() -> None:
    one, four = (Fleet(steady(40, 2, 500), KIND, None).run(replicas) for replicas in (1, 4))
    assert max(four.took_s) < max(one.took_s)
    assert one.busy_s == pytest.approx(four.busy_s)


def test_replicas_come_with_the_traffic_and_go_after_it() -> None:
    run = Fleet([*steady(50, 10, 200), Request(600.0, 10)], KIND, _rule()).run(1)
    assert run.replicas[0] == 1
    assert run.most == pytest.approx(50 * 10 * DOCUMENT_S / 0.5, abs=2)
    assert run.replicas[550] == 0
    assert run.took_s[-1] == pytest.approx(KIND.starts_in_s, abs=2)  # it woke the variant
    assert run.replica_s == pytest.approx(sum(run.replicas), rel=0.05)


def test_a_request_that_finds_no_replica_waits_for_one() -> None:
    run = Fleet([Request(0.5, 10)], KIND, _rule()).run(0)
    assert run.took_s[0] == pytest.approx(0.5 + KIND.starts_in_s + 10 * DOCUMENT_S + AROUND_S, abs=0.01)


def test_bounds_hold() -> None:
    run = Fleet([*steady(50, 10, 100), Request(400.0, 1)], KIND, _rule(most=4, fewest=2)).run(2)
    assert (min(run.replicas), run.most) == (2, 4)


def test_a_replica_that_stops_answers_what_it_has_and_then_ends() -> None:
    looks = itertools.count()
    at_once = Pacing(up_after_s=0, down_after_s=0)
    rule = Rule(lambda _: 2 if next(looks) < 30 else 1, at_once, 0, 0, 2)
    run = Fleet([*(Request(25.0, 2_000) for _ in range(4)), Request(500.0, 1)], KIND, rule).run(2)
    assert min(run.took_s[:4]) >= 2_000 * DOCUMENT_S
    assert 500 + 45 <= run.replica_s < 600  # one to the end, the other until it had answered
