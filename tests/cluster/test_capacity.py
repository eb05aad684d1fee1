import pytest

from serve_app.autoscaling import Aim
from serve_app.catalog import Catalog, Variant
from serve_app.cluster import capacity
from serve_app.cluster.capacity import (
    MORE_TRAFFIC,
    Wish,
    kind_of,
    late_share,
    percentile,
    plan_fleet,
    replay,
    v100s_of,
)
from serve_app.cluster.simulation import AROUND_S, Run
from serve_app.cluster.traffic import Request, steady

WISH = Wish(per_s=200, documents=100, p99_s=0.5)


@pytest.fixture
def variant(catalog: Catalog) -> Variant:
    return catalog.variants["minilm-l6"]


def test_a_plan_answers_in_time_and_fewer_replicas_would_not(variant: Variant) -> None:
    plan = plan_fleet(variant, WISH, share=0.25)
    assert plan.replicas is not None
    assert plan.p99_s <= WISH.p99_s
    assert plan.busy == pytest.approx(200 * 100 / (plan.replicas * 1_800 * 0.25))
    assert plan.v100s * 4 >= plan.replicas > (plan.v100s - 1) * 4
    fewer = capacity._run(kind_of(variant, 0.25), WISH, round(0.85 * plan.replicas))
    assert percentile(fewer.took_s, 0.99) > WISH.p99_s


def test_headroom_is_traffic_that_the_same_fleet_answers_in_time(variant: Variant) -> None:
    plan = plan_fleet(variant, WISH, share=1.0)
    assert plan.replicas is not None
    more = Wish(WISH.per_s * plan.more_traffic, WISH.documents, WISH.p99_s)
    assert percentile(capacity._run(kind_of(variant, 1.0), more, plan.replicas).took_s, 0.99) <= WISH.p99_s
    assert plan.more_traffic in (1.0, *MORE_TRAFFIC)


def test_little_traffic_has_headroom_beyond_what_is_tried(variant: Variant) -> None:
    plan = plan_fleet(variant, Wish(0.1, 10, 1.0), share=1.0)
    assert (plan.replicas, plan.more_is_least) == (1, True)


def test_what_a_request_takes_alone_no_number_of_replicas_shortens(variant: Variant) -> None:
    plan = plan_fleet(variant, Wish(1, 100, 0.15), share=0.25)
    assert plan.replicas is None
    assert plan.alone_s == pytest.approx(100 / (1_800 * 0.25) + AROUND_S)


def test_a_part_of_a_large_fleet_stands_for_it(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    wish, kind = Wish(600, 100, 0.15), kind_of(variant, 1.0)
    part = capacity._run(kind, Wish(6_000, 100, 0.15), 600)
    monkeypatch.setattr(capacity, "MOST_SIMULATED", 60)
    whole = capacity._run(kind, wish, 60)
    assert percentile(part.took_s, 0.99) == pytest.approx(percentile(whole.took_s, 0.99), rel=0.05)


def test_a_trace_is_replayed_over_replicas_that_come_and_go(variant: Variant) -> None:
    requests = [*steady(100, 10, 300), Request(2_000.0, 10)]
    run = replay(variant, requests, 0.25, Aim(0.5))
    assert run.most == pytest.approx(100 * 10 / (450 * 0.5), abs=2)
    assert run.replicas[1_500] == 0


@pytest.mark.parametrize(
    ("replicas", "share", "v100s"), [(1, 0.1, 1), (10, 0.1, 1), (11, 0.1, 2), (4, 0.33, 2), (100, 0.33, 34), (3, 1, 3)]
)
def test_replicas_do_not_straddle_v100s(replicas: int, share: float, v100s: int) -> None:
    assert v100s_of(replicas, share) == v100s


def test_late_is_what_took_longer_for_its_size() -> None:
    run = Run([Request(0, 10), Request(0, 100), Request(0, 1_000)], [1.1, 0.9, 9.0], 0, 0, [])
    assert late_share(run, 1.0) == pytest.approx(1 / 3)


def test_percentiles() -> None:
    assert [percentile(list(range(1, 101)), part) for part in (0.5, 0.99, 1.0)] == [50, 99, 100]
    assert (percentile([], 0.99), percentile([7.0], 0.01)) == (0.0, 7.0)
