"""What a rollout decides of what it sees, and that its loop does what was decided."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from serve_app.cluster.rollout import PATIENCE, Abort, Advance, Decision, Hold, Plan, Promote, Vitals, decide, roll
from serve_app.routes import GuardLimits

LIMITS = GuardLimits(min_observations=50)
PLAN = Plan((1, 25, 100), 60.0, LIMITS)
GOOD = Vitals(25, 200, 1, 40.0, 90.0, 0.004, 38.0, 95.0, 0.8)


@pytest.mark.parametrize(
    ("step", "held_s", "vitals", "decision"),
    [
        (0, 59.9, GOOD, Hold("0 s of 60 s are left")),
        (0, 60.0, GOOD, Advance(1)),
        (1, 60.0, GOOD, Advance(2)),
        (2, 60.0, GOOD, Promote()),
        (0, 60.0, replace(GOOD, requests=49), Hold("it has had 49 of the 50 requests that a step needs")),
        (0, 60.0, replace(GOOD, failures=6), Hold("it fails 3.0% of its requests, and 1.0% are allowed")),
        (0, 60.0, replace(GOOD, failures=4), Advance(1)),
        (0, 60.0, replace(GOOD, failures=6, baseline_error_rate=0.02), Advance(1)),
        (
            0,
            60.0,
            replace(GOOD, p50_ms=60.0),
            Hold("its median is 60 ms, and 1.5 times the baseline's 38 ms are allowed"),
        ),
        (
            0,
            60.0,
            replace(GOOD, requests=1_000, p99_ms=150.0),
            Hold("its p99 is 150 ms, and 1.5 times the baseline's 95 ms are allowed"),
        ),
        (0, 60.0, replace(GOOD, requests=1_000, p99_ms=150.0, baseline_p99_ms=None), Advance(1)),
        (
            0,
            60.0,
            replace(GOOD, agreement=0.1),
            Hold("its orders agree with the baseline's by 0.10 (Kendall's tau), and 0.2 is wanted"),
        ),
        (0, 60.0, replace(GOOD, p99_ms=150.0), Advance(1)),
        (0, 60.0, replace(GOOD, agreement=None), Advance(1)),
        (0, PATIENCE * 60.0, replace(GOOD, p50_ms=60.0), None),
        (0, 1.0, replace(GOOD, percent=0.0, aborted_because="canary aborted: slow"), Abort("canary aborted: slow")),
        (0, 1.0, replace(GOOD, percent=0.0), Abort("its weight was taken by somebody else")),
    ],
)
def test_decisions(step: int, held_s: float, vitals: Vitals, decision: Decision | None) -> None:
    found = decide(PLAN, step, held_s, vitals)
    if decision is not None:
        assert found == decision
    else:
        assert isinstance(found, Abort)
        assert found.because.endswith("are allowed, after 240 s at 1 %")


def test_limits_that_are_off_hold_nobody() -> None:
    off = GuardLimits(max_error_rate=None, max_latency_ratio=None, min_agreement=None, min_observations=1)
    awful = Vitals(25, 10, 9, 900.0, 900.0, 0.0, 1.0, 1.0, -1.0)
    assert decide(Plan((25, 100), 60.0, off), 0, 60.0, awful) == Advance(1)


@pytest.mark.parametrize("steps", [(), (5, 1, 100), (5, 5, 100), (0, 100), (5, 50), (50, 100, 200)])
def test_steps_that_are_none(steps: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="steps rise"):
        Plan(steps, 60.0, LIMITS)


def test_a_weight_is_a_step_or_none() -> None:
    assert [PLAN.step_at(percent) for percent in (1, 25.000001, 100, 50)] == [0, 1, 2, None]


@dataclass
class FakeLever:
    """A canary that behaves as `vitals` says of the seconds since its last move."""

    clock: "FakeTime"
    vitals: Callable[[float], Vitals]
    percent: float = 1.0
    moved: list[object] = field(default_factory=list)
    since: float = 0.0
    look_every_s: float = 1.0

    def look(self) -> Vitals:
        found = self.vitals(self.clock.now() - self.since)
        return replace(found, percent=self.percent if found.percent else 0.0)

    def move(self, percent: float) -> None:
        self.percent, self.since = percent, self.clock.now()
        self.moved.append(percent)

    def promote(self) -> None:
        self.moved.append("promoted")

    def abort(self) -> None:
        self.moved.append("aborted")


@dataclass
class FakeTime:
    at: float = 0.0
    interrupt_at: float = 1e9

    def now(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += seconds
        if self.at >= self.interrupt_at:
            raise KeyboardInterrupt


def _roll(lever: FakeLever, step: int = 0) -> tuple[Decision, list[int]]:
    steps: list[int] = []
    ended = roll(PLAN, lever, step, lambda step, *_: steps.append(step), lever.clock)
    return ended, steps


def test_a_good_canary_is_promoted_step_by_step() -> None:
    lever = FakeLever(FakeTime(), lambda _: GOOD)
    ended, steps = _roll(lever)
    assert ended == Promote()
    assert lever.moved == [25, 100, "promoted"]
    assert [steps.count(step) for step in (0, 1, 2)] == [61, 61, 61]


def test_a_canary_with_few_requests_is_held_longer() -> None:
    lever = FakeLever(FakeTime(), lambda held_s: replace(GOOD, requests=int(held_s / 2), failures=0))
    ended, steps = _roll(lever)
    assert (ended, lever.moved) == (Promote(), [25, 100, "promoted"])
    assert steps.count(0) == 101


def test_a_canary_that_never_gets_in_order_is_aborted() -> None:
    lever = FakeLever(FakeTime(), lambda _: replace(GOOD, p50_ms=500.0))
    ended, steps = _roll(lever)
    assert isinstance(ended, Abort)
    assert lever.moved == ["aborted"]
    assert len(steps) == 60 * PATIENCE + 1


def test_what_the_guard_has_aborted_ends_the_rollout() -> None:
    gone = replace(GOOD, percent=0.0, aborted_because="canary new aborted: fails 50 %")
    lever = FakeLever(FakeTime(), lambda held_s: gone if held_s > 5 else GOOD)
    ended, _ = _roll(lever, step=1)
    assert ended == Abort("canary new aborted: fails 50 %")
    assert lever.moved == []  # nobody has to take its weight once more


def test_interrupted_it_leaves_the_canary_and_can_go_on() -> None:
    lever = FakeLever(FakeTime(interrupt_at=90.0), lambda _: GOOD)
    with pytest.raises(KeyboardInterrupt):
        _roll(lever)
    assert (lever.percent, lever.moved) == (25, [25])
    lever.clock.interrupt_at = 1e9
    step = PLAN.step_at(lever.percent)
    assert step == 1
    ended, _ = _roll(lever, step)
    assert (ended, lever.moved) == (Promote(), [25, 100, "promoted"])
