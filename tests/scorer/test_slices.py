from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.scorer.packing import Row
from serve_app.scorer.slices import HALVED_EVERY_S, Pace, SliceQueue, Work, cut, halved_every

BUDGET = 100


def _rows(*lengths: int) -> list[Row]:
    return [Row(np.zeros(length, dtype=np.int32), 1) for length in lengths]


def _work(*lengths: int, came: float = 0.0, deadline: float = 1e9) -> Work:
    slices = deque(cut(_rows(*lengths), BUDGET))
    return Work(slices, came, deadline, [0.0] * len(lengths), len(lengths))


@given(st.lists(st.integers(1, 512), min_size=1, max_size=100))
def test_slices_hold_every_row_once_within_the_budget(lengths: list[int]) -> None:
    slices = cut(_rows(*lengths), BUDGET)
    assert sorted(place for part in slices for place in part.places) == list(range(len(lengths)))
    assert all(part.tokens <= BUDGET or len(part.rows) == 1 for part in slices)
    assert all(
        len(row.ids) == lengths[place] for part in slices for row, place in zip(part.rows, part.places, strict=True)
    )


def test_a_release_is_at_most_the_budget_and_at_least_one_slice() -> None:
    queue = SliceQueue(BUDGET)
    for work in (_work(300), _work(40), _work(40), _work(40)):
        queue.add(work)
    assert [[part.tokens for _, part in queue.release(0.0)] for _ in range(4)] == [[40, 40], [40], [300], []]
    assert not len(queue)


def test_the_shortest_remaining_work_goes_first() -> None:
    queue = SliceQueue(BUDGET)
    large, medium, small = _work(*[50] * 100), _work(*[60] * 3), _work(10)
    queue.add(large)
    assert [work for work, _ in queue.release(0.0)] == [large]
    queue.add(medium)
    queue.add(small)
    order = [[work for work, _ in queue.release(0.0)] for _ in range(4)]
    assert order == [[small, medium], [medium], [medium], [large]]


def test_slices_that_fit_fill_a_release_up() -> None:
    queue = SliceQueue(BUDGET)
    first, too_large, fits = _work(30), _work(80), _work(*[35] * 4)
    for work in (first, too_large, fits):
        queue.add(work)
    assert [work for work, _ in queue.release(0.0)] == [first, fits]


@pytest.mark.parametrize(("halvings", "first"), [(6, "small"), (7, "large")])
def test_waiting_makes_work_look_shorter(halvings: int, first: str) -> None:
    """A hundred times the work has waited long enough when it looks less than that of one that just came."""
    now = 1e3
    works = {"large": _work(*[100] * 100, came=now - halvings * HALVED_EVERY_S), "small": _work(100, came=now)}
    queue = SliceQueue(BUDGET)
    for work in works.values():
        queue.add(work)
    assert queue.release(now)[0][0] is works[first]


def test_a_short_work_looks_shorter_sooner() -> None:
    assert halved_every(100, None) == halved_every(8_000, 1_000.0) == HALVED_EVERY_S
    assert halved_every(500, 1_000.0) == 1.0


def test_what_is_hardly_larger_waits_hardly_longer() -> None:
    """Of work that takes 0.1 s: a tenth more, that came 0.05 s before."""
    queue = SliceQueue(BUDGET)
    works = [_work(*[50] * size, came=came) for size, came in ((22, 0.0), (20, 0.05))]
    for work in works:
        work.halved_every_s = halved_every(work.tokens, 10_000.0)
        queue.add(work)
    assert queue.release(0.1)[0][0] is works[0]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=12))
def test_nobody_starves_however_many_small_requests_keep_coming(sizes: list[int]) -> None:
    queue = SliceQueue(BUDGET)
    waiting = [_work(*[100] * size) for size in sizes]
    for work in waiting:
        queue.add(work)
    now = 0.0
    while any(work.waiting for work in waiting):
        queue.add(_work(100, came=now))  # as fast as the device is
        queue.release(now)
        now += 0.1
        assert now < HALVED_EVERY_S * 16 + 0.1 * sum(sizes)


def test_expired_work_leaves_the_queue() -> None:
    queue = SliceQueue(BUDGET)
    late, early = _work(10, deadline=5.0), _work(10, deadline=6.0)
    queue.add(late)
    queue.add(early)
    assert queue.take_expired(now=5.0) == [late]
    assert [work for work, _ in queue.release(5.0)] == [early]


def test_the_pace_is_that_of_full_batches() -> None:
    pace = Pace(BUDGET)
    pace.count(10, 0.0, 1.0)
    assert pace.tokens_per_s is None
    pace.count(100, 1.0, 2.0)
    pace.count(100, 1.5, 2.5)  # it began beside the first, and ended half a second later
    assert pace.tokens_per_s == pytest.approx(1 / (0.9 * 0.01 + 0.1 * 0.005))


def test_ends_that_are_noticed_together_make_no_pace() -> None:
    pace = Pace(BUDGET)
    for end in range(100):
        pace.count(100, end, end + 0.99)
        pace.count(100, end + 0.5, end + 1.0)  # 100 tokens in 0.01 s, after 100 in 0.99
    assert pace.tokens_per_s == pytest.approx(200, rel=0.15)


def test_what_would_go_first_is_counted() -> None:
    queue = SliceQueue(BUDGET)
    for work in (_work(20), _work(*[50] * 100, came=-1e3), _work(*[50] * 100)):
        queue.add(work)
    assert queue.ahead_of(30, 0.0) == 20 + 5_000
    assert queue.ahead_of(10, 0.0) == 5_000


def test_another_queue_could_begin_all_but_the_largest_request() -> None:
    queue = SliceQueue(BUDGET)
    assert queue.movable_tokens() == 0
    for lengths in ((90, 90, 90), (20,), (10, 10)):
        queue.add(_work(*lengths))
    assert queue.movable_tokens() == 40
