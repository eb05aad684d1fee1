"""What becomes of decisions, beside what Ray 2.60's own code makes of the same ones."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray.serve import autoscaling_policy as ray_policy
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from serve_app.autoscaling import Aim, Demand, Pacing
from serve_app.cluster.scaling import Governor, Rule, Seen, by_requests, by_tokens

NOTHING = Demand(0.0, 0.0, 0.0, 1_000.0, 0.0)
PACING = Pacing(up_after_s=3, down_after_s=7, down_share=0.5)
IDLE_AFTER_S = 11.0
MOST = 12

UNREAD = {
    *("deployment_id", "deployment_name", "app_name", "running_replicas", "total_queued_requests"),
    *("aggregated_metrics", "raw_metrics", "last_scale_up_time", "last_scale_down_time", "current_time"),
}
STEPS = st.lists(
    st.tuples(
        st.floats(0, 15), st.integers(0, 12), st.integers(0, 3), st.sampled_from((0.5, 1.0, 2.0, 5.0))
    ),  # what is wanted, how many run, requests, seconds until the next look
    min_size=1,
    max_size=40,
)


def _context(seen: Seen, state: dict[str, object], config: AutoscalingConfig) -> AutoscalingContext:
    nothing: dict[str, object] = dict.fromkeys(UNREAD)
    return AutoscalingContext(
        current_num_replicas=seen.running,
        target_num_replicas=seen.target,
        total_num_requests=seen.mean_requests,
        capacity_adjusted_min_replicas=0,
        capacity_adjusted_max_replicas=MOST,
        policy_state=state,
        config=config,
        **nothing,  # type: ignore[arg-type]
    )


@settings(deadline=None)
@given(STEPS)
def test_a_decision_becomes_what_ray_makes_of_it(steps: list[tuple[float, int, int, float]]) -> None:
    config = AutoscalingConfig(
        min_replicas=0,
        max_replicas=MOST,
        upscale_delay_s=PACING.up_after_s,
        downscale_delay_s=PACING.down_after_s,
        downscale_to_zero_delay_s=IDLE_AFTER_S,
        downscaling_factor=PACING.down_share,
    )
    wishes: list[float] = []
    governor = Governor(Rule(lambda _: wishes[-1], PACING, IDLE_AFTER_S, 0, MOST))
    rays = ray_policy._apply_autoscaling_config(lambda ctx: (wishes[-1], {}))
    now, target, state = 1_000.0, 1, dict[str, object]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ray.serve.autoscaling_policy.time.time", lambda: now)
        for wanted, running, requests, pause_s in steps:
            wishes.append(wanted)
            seen = Seen(NOTHING, float(requests), running, target)
            decided, state = rays(_context(seen, state, config))
            target = max(0, min(MOST, decided))
            assert governor.target(seen, now) == target
            now += pause_s


@pytest.mark.parametrize(("wanted", "target"), [(0.0, 2), (99.0, 5)])
def test_bounds_hold(wanted: float, target: int) -> None:
    rule = Rule(lambda _: wanted, replace(PACING, up_after_s=0, down_after_s=0), 0, 2, 5)
    assert Governor(rule).target(Seen(NOTHING, 0.0, 3, 3), 0.0) == target


def test_ours_asks_the_arithmetic_and_rays_counts_requests() -> None:
    seen = Seen(Demand(4_000.0, 0.0, 500.0, 1_000.0, 9.0), mean_requests=9.0, running=2, target=2)
    assert by_tokens(Aim(2.0, busy=0.5))(seen) == 8
    assert by_requests(2)(seen) == 4.5
    assert by_requests(2)(replace(seen, running=0, target=3)) == 3
