"""`loadtest.figures`: each figure against a run whose answers are known."""

import dataclasses
from typing import Any

import pytest

from loadtest.figures import Goodput, Rates, Recovery, ReplicaRange, figures
from loadtest.percentiles import percentiles
from loadtest.samples import Replicas, Sample
from tests.loadtest.runs import LATE, run, sample, spike

TWO_PHASES = {"name": "two", "slo_ms": 500, "phases": [{"name": "calm", "seconds": 4}, {"seconds": 6}]}


def phased(*names: str, slo_ms: float | None = 500) -> dict[str, Any]:
    """Ten seconds each."""
    return {"name": "phased", "slo_ms": slo_ms, "phases": [{"name": name, "seconds": 10} for name in names]}


def test_percentiles_are_those_of_the_values() -> None:
    found = percentiles(float(value) for value in range(10_000, 0, -1))
    assert found is not None
    expected = {"p50": 5_000, "p90": 9_000, "p95": 9_500, "p99": 9_900, "p999": 9_990, "slowest": 10_000}
    assert found.count == 10_000
    for name, value in expected.items():
        assert value <= getattr(found, name) <= value * 1.001 + 0.001, name


def test_few_values_have_percentiles_that_were_measured() -> None:
    found = percentiles([10.0, 20.0, 4_000_000.0, -1.0])
    assert found is not None
    assert found.p50 == pytest.approx(10, rel=0.001)
    assert found.p999 == found.slowest == pytest.approx(3_600_000, rel=0.001)  # an hour is the longest it tells


def test_no_values_have_no_percentiles() -> None:
    assert percentiles([]) is None


def test_rates_are_by_when_requests_were_due_and_by_when_answers_came() -> None:
    samples = [
        sample(0.0),
        sample(1.0, 9_500),  # comes after the end
        sample(2.0, failure="503", documents=40),
        sample(9.0, documents=5, tokens=None),
    ]
    whole = figures(run(samples)).whole
    assert whole.requests == 4
    assert whole.offered == Rates(0.4, 6.5, 100.0)
    assert whole.answered == Rates(0.2, 1.5, 50.0)


def test_a_service_that_tells_no_tokens_has_no_rate_of_them() -> None:
    assert figures(run([sample(0, tokens=None)])).whole.answered.tokens is None


def test_good_is_what_was_answered_fully_and_in_time() -> None:
    samples = [sample(0, 500), sample(1, 501), sample(2, 10, "incomplete"), sample(3, 20, documents=30)]
    goodput = figures(run(samples)).whole.goodput
    assert goodput == Goodput(0.2, 4.0, 0.5)


def test_nothing_is_good_or_bad_without_a_limit() -> None:
    found = figures(run([sample(0)], scenario={"phases": [{"seconds": 5}, {"seconds": 5}]}))
    assert found.slo_ms is None
    assert found.whole.goodput is None
    assert found.recoveries == []
    assert found.scenario == "unnamed"


def test_failures_are_counted_by_kind_and_have_no_latency() -> None:
    failures = [sample(at / 10, 1.0, "503") for at in range(3)] + [sample(4, 60_000, "ReadTimeout")]
    whole = figures(run([sample(1, 200), sample(12.0, 5, "503"), *failures])).whole
    assert whole.failures == {"503": 4, "ReadTimeout": 1}  # also the one that was due after the end
    assert whole.failed == 5
    assert whole.latency is not None
    assert whole.latency.count == 1
    assert whole.latency.p50 == whole.latency.slowest == pytest.approx(200, rel=0.001)


def test_the_wait_for_a_replica_has_percentiles() -> None:
    queue = figures(run([sample(0, 100), sample(1, 100, queue_ms=None)])).whole.queue
    assert queue is not None
    assert queue.count == 1
    assert queue.p99 == pytest.approx(50, rel=0.001)


def test_a_phase_owns_what_was_due_in_it() -> None:
    samples = [sample(0, 100), sample(3.9, 300), sample(4, 10, "503"), sample(9, 900)]
    calm, second = figures(run(samples, scenario=TWO_PHASES)).phases
    assert (calm.name, calm.began, calm.seconds, calm.requests) == ("calm", 0, 4, 2)
    assert (second.name, second.began, second.seconds, second.requests) == ("phase 2", 4, 6, 2)
    assert calm.answered.requests == 1 / 4  # the other one came in the second phase
    assert second.answered.requests == 2 / 6
    assert (calm.failures, second.failures) == ({}, {"503": 1})
    assert calm.goodput == Goodput(0.5, 5.0, 1.0)
    assert second.goodput == Goodput(0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ([sample(11, 100), sample(12, 100)], [Recovery("overload", 0.0)]),
        ([sample(11, 100), sample(13, 900), sample(14, 100), sample(19, 100)], [Recovery("overload", 4.0)]),
        ([sample(11, 100), sample(12, 1, "503"), sample(12.5, 100)], [Recovery("overload", 2.5)]),
        ([sample(11, 100), sample(19, 900)], [Recovery("overload", None)]),
        ([], []),
    ],
)
def test_recovery_is_when_all_that_follow_are_in_time(after: list[Sample], expected: list[Recovery]) -> None:
    samples = [sample(at, 900) for at in range(10)] + after
    assert figures(run(samples, 20, scenario=phased("overload", "calm"))).recoveries == expected


def test_each_overload_has_a_recovery_of_its_own() -> None:
    overloads = [sample(begin + place / 30, 900) for begin in (0, 20) for place in range(300)]
    calm = [sample(10, 100), sample(11, 900), sample(14, 100), sample(30, 100)]
    samples = overloads + calm + [sample(12 + place / 1_000) for place in range(200)]
    names = ("first", "calm", "second", "after")
    found = figures(run(samples, 40, scenario=phased(*names))).recoveries
    assert found == [Recovery("first", 2.0), Recovery("second", 0.0)]


def test_a_queue_that_is_left_is_no_overload() -> None:
    late = [sample(10 + place / 20, 900 if place < 10 else 100) for place in range(200)]
    samples = (
        [sample(place / 40, 900) for place in range(400)] + late + [sample(20 + place / 20) for place in range(200)]
    )
    found = figures(run(samples, 30, scenario=phased("spike", "drain", "calm")))
    assert [recovery.after for recovery in found.recoveries] == ["spike"]
    assert found.recoveries[0].seconds == pytest.approx(0.5)


def test_a_busy_phase_whose_requests_are_in_time_is_no_overload() -> None:
    samples = [sample(place / 40) for place in range(400)] + [sample(11)]
    assert figures(run(samples, 20, scenario=phased("busy", "calm"))).recoveries == []


def test_a_phase_without_requests_is_no_overload() -> None:
    found = figures(run([sample(11, 100)], 20, scenario=phased("pause", "calm")))
    assert found.recoveries == []
    assert found.phases[0].goodput == Goodput(0, 0, None)


def test_replicas_have_a_range_by_model() -> None:
    seen = [Replicas(5, "a", 3), Replicas(0, "a", 1), Replicas(0, "b", 2), Replicas(9, "a", 2)]
    found = figures(run([], replicas=seen)).replicas
    assert found == {"a": ReplicaRange(1, 1, 3, 2), "b": ReplicaRange(2, 2, 2, 2)}


def test_models_are_counted_by_their_answers() -> None:
    samples = [sample(0, model="a"), sample(1, model="b"), sample(2, model="b"), sample(3, failure="503", model="a")]
    assert figures(run(samples)).models == {"b": 2, "a": 1}


def test_a_run_without_requests_has_figures() -> None:
    found = figures(run([], 0.0, generator=LATE))
    assert found.whole.requests == found.whole.failed == 0
    assert found.whole.offered == Rates(0, 0, None)
    assert found.whole.latency is None
    assert found.whole.goodput == Goodput(0, 0, None)
    assert found.generator.late


def test_a_spike_is_told_as_it_was() -> None:
    found = figures(spike())
    calm, spiked, after = found.phases
    assert calm.goodput is not None
    assert calm.goodput.share == 1
    assert spiked.answered.requests == pytest.approx(60 * 40 / 60 + 90 * 20 / 60, rel=0.1)
    assert set(spiked.failures) == {"503"}
    assert after.failed == 0
    assert [recovery.after for recovery in found.recoveries] == ["spike"]
    assert found.replicas["rerank-tiny"] == ReplicaRange(1, 1, 2, 2)


def test_the_order_of_samples_does_not_matter() -> None:
    known = spike()
    assert figures(dataclasses.replace(known, samples=list(reversed(known.samples)))) == figures(known)
