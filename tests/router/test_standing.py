import math
import pickle

from hypothesis import given
from hypothesis import strategies as st

from serve_app.router.standing import LimitReached, Remaining, Standing, Window

COUNTS = st.integers(0, 10_000)


@given(COUNTS, COUNTS, st.floats(0, 60), st.integers(1, 10_000), st.integers(1, 10_000))
def test_a_time_to_wait_is_enough_by_the_rule_of_the_counter(
    previous: int, current: int, window_s: float, one: int, other: int
) -> None:
    limit, cost = max(one, other), min(one, other)
    wait_s = Window(previous, window_s if previous else 0.0, current, window_s + 60, 60).wait_s(limit, cost)
    if wait_s > window_s:  # the window has become the last one
        previous, current, window_s = current, 0, window_s + 60
    weighted = previous * max(0.0, window_s - wait_s) / 60
    assert math.floor(weighted) + current + cost <= limit


def test_headers() -> None:
    standing = Standing(Remaining(60, 59, 6.11), Remaining(600, 0, 12.0))
    assert standing.headers() == {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "6.2s",
        "x-ratelimit-limit-documents": "600",
        "x-ratelimit-remaining-documents": "0",
        "x-ratelimit-reset-documents": "12s",
    }
    assert Standing().headers() == {}


def test_a_refusal_can_be_pickled() -> None:
    there = pickle.loads(pickle.dumps(LimitReached("say what", None, 2.5, Standing(Remaining(1, 0, 3.0)))))
    assert (there.message, there.retry_after_s, there.standing) == ("say what", 2.5, Standing(Remaining(1, 0, 3.0)))
