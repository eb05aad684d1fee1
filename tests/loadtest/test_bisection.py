"""The search for the highest rate that holds, against queues in virtual time whose answer is known by a formula."""

import math
import random
from collections.abc import Callable
from dataclasses import replace
from statistics import median

import pytest

from loadtest.bisection import MOST_REPEATS, STUDENT_95, LateGenerator, Plan, Probe, Try, saturation, search
from loadtest.samples import Run, Sample
from tests.loadtest.runs import LATE, run, sample

PLAN = Plan(slo_ms=500, low=0.5, high=50, resolution=1.05, repeats=3, seconds=60, requests=500, seed=0)
CAPACITY = 30.0
M_M_1 = CAPACITY - math.log(100) / 0.5
"""A queue with random service times: times in it are exponential, of mean 1 / (capacity - rate) (Kleinrock, Queueing
Systems, 1975). Their p99 is ln 100 of such means, and 500 ms at this rate."""


def queue(capacity: float, service: Callable[[random.Random], float]) -> Probe:
    """One server; `service` draws a time of mean 1."""

    def probe(rate: float, seconds: float, seed: int) -> Run:
        rng, free, at = random.Random(seed), 0.0, 0.0
        samples: list[Sample] = []
        while (at := at + rng.expovariate(rate)) < seconds:
            free = max(at, free) + service(rng) / capacity
            samples.append(sample(at, (free - at) * 1_000))
        return run(samples, seconds)

    return probe


def below(limit: float) -> Probe:
    """Answers in time at this rate and below it, and not at all in time above it."""
    return lambda rate, seconds, seed: run([sample(0, 100.0 if rate <= limit else 900.0)], seconds)


def tried(repeat: int, rate: float, held: bool) -> Try:
    return Try(repeat, rate, 60, 500, 100, 0, held)


@pytest.mark.parametrize("seed", [0, 10])
def test_the_rate_of_a_queue_with_random_service_times_is_in_the_interval(seed: int) -> None:
    plan = replace(PLAN, seconds=300, repeats=5, seed=seed)
    found = saturation(list(search(queue(CAPACITY, lambda rng: rng.expovariate(1)), plan)), plan)
    assert found.low < M_M_1 < found.high
    assert found.low <= found.rate <= found.high
    assert found.high / found.low < 1.5
    assert found.rate == pytest.approx(M_M_1, rel=0.2)


def test_a_rate_above_the_capacity_does_not_hold() -> None:
    found = saturation(list(search(queue(CAPACITY, lambda rng: 1.0), PLAN)), PLAN)
    assert 0.8 * CAPACITY < found.rate < CAPACITY * 1.02


@pytest.mark.parametrize("limit", [0.5, 0.51, 3.0, 11.1, 49.9])
def test_a_sharp_limit_is_within_the_resolution(limit: float) -> None:
    tries = list(search(below(limit), PLAN))
    found = saturation(tries, PLAN)
    assert found.low <= limit <= found.high
    assert found.high / found.low <= PLAN.resolution
    assert found.rate <= limit
    assert len(tries) <= 3 * 9


@pytest.mark.parametrize(
    ("limit", "said"),
    [(0.4, "does not hold 0.5 requests/s: search from a lower rate, with --from"), (60.0, "holds 50 requests/s")],
)
def test_a_limit_outside_the_range_is_said_after_its_end_was_tried(limit: float, said: str) -> None:
    tries = list(search(below(limit), PLAN))
    assert (PLAN.low if limit < 1 else PLAN.high) in {each.rate for each in tries}
    with pytest.raises(ValueError, match=said):
        saturation(tries, PLAN)


def test_nothing_tried_is_no_result() -> None:
    with pytest.raises(ValueError, match="lower rate"):
        saturation([], PLAN)


def test_repeats_take_turns_and_have_seeds_of_their_own() -> None:
    seeds: list[int] = []

    def probe(rate: float, seconds: float, seed: int) -> Run:
        seeds.append(seed)
        return below(5)(rate, seconds, seed)

    tries = list(search(probe, replace(PLAN, seed=40)))
    assert [each.repeat for each in tries[:6]] == [1, 2, 3, 1, 2, 3]
    assert seeds[:6] == [41, 42, 43, 41, 42, 43]
    assert [each.rate for each in tries[:3]] == [5, 5, 5]


def test_a_try_is_long_enough_for_its_percentile() -> None:
    assert PLAN.seconds_at(5) == 100
    assert PLAN.seconds_at(50) == 60
    tries = list(search(below(5), PLAN))
    assert all(each.seconds == max(60, 500 / each.rate) for each in tries)


@pytest.mark.parametrize("failure", ["503", "ReadTimeout"])
def test_a_rate_with_one_failure_does_not_hold(failure: str) -> None:
    def probe(rate: float, seconds: float, seed: int) -> Run:
        failures = [sample(1, 5, failure)] if rate > 7 else []
        return run([sample(at / 10) for at in range(400)] + failures, seconds)

    found = saturation(list(search(probe, PLAN)), PLAN)
    assert found.low <= 7 <= found.high


def test_a_rate_without_answers_does_not_hold() -> None:
    assert not any(each.held for each in search(lambda rate, seconds, seed: run([], seconds), PLAN))


def test_a_late_generator_ends_the_search_and_is_no_failure_of_the_service() -> None:
    def probe(rate: float, seconds: float, seed: int) -> Run:
        made = below(1)(rate, seconds, seed)
        return replace(made, generator=LATE) if rate < 5 else made

    tries: list[Try] = []
    with pytest.raises(
        LateGenerator, match=r"stopped at 1\.58 requests/s, which says nothing of the service: The load"
    ):
        tries.extend(search(probe, PLAN))


def test_the_interval_is_students_of_the_logarithms() -> None:
    held, exceeded = [4.0, 4.2, 4.7], [4.1, 4.3, 4.9]
    tries = [tried(repeat, rate, True) for repeat, rate in enumerate(held)]
    tries += [tried(repeat, rate, False) for repeat, rate in enumerate(exceeded)]
    found = saturation(tries, PLAN)
    stats = pytest.importorskip("scipy.stats", reason="needs scipy, which sentence-transformers brings")

    def ends(rates: list[float]) -> list[float]:
        logs = [math.log(rate) for rate in rates]
        deviation = math.sqrt(sum((log - sum(logs) / 3) ** 2 for log in logs) / 2)
        return [math.exp(end) for end in stats.t.interval(0.95, 2, sum(logs) / 3, deviation / math.sqrt(3))]

    assert found.rate == median(held) == 4.2
    assert found.low == pytest.approx(ends(held)[0], rel=1e-3)
    assert found.high == pytest.approx(ends(exceeded)[1], rel=1e-3)


def test_one_repeat_has_what_it_searched_as_its_interval() -> None:
    found = saturation([tried(1, 4.0, True), tried(1, 4.5, False)], PLAN)
    assert (found.rate, round(found.low, 9), round(found.high, 9)) == (4.0, 4.0, 4.5)


def test_the_quantiles_are_students() -> None:
    stats = pytest.importorskip("scipy.stats", reason="needs scipy, which sentence-transformers brings")
    assert [stats.t.ppf(0.975, degrees) for degrees in range(1, MOST_REPEATS)] == pytest.approx(STUDENT_95, abs=5e-4)
