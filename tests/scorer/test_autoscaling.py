"""The policy as Ray 2.60 calls it: loaded from its path, wrapped in Ray's delays, given Ray's own context."""

import logging
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from ray.serve._private.common import DeploymentID, ReplicaID, TimeStampedValue
from ray.serve.autoscaling_policy import _apply_autoscaling_config
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from serve_app.app import AppArgs, deployment_options
from serve_app.autoscaling import BUSY
from serve_app.catalog import Catalog
from serve_app.scorer.autoscaling import TokenPolicy
from serve_app.scorer.demand import ReplicaDemand

DEPLOYMENT = DeploymentID(name="minilm-l6", app_name="rerank")
PACE = 1_000.0


def _context(
    replicas: Mapping[str, ReplicaDemand | None], target: int, config: Any = None, **requests: float
) -> AutoscalingContext:
    """`replicas` run; those that have reported twice, the last time this."""
    ids = {name: ReplicaID(name, DEPLOYMENT) for name in replicas}
    raw: dict[str, dict[ReplicaID, list[TimeStampedValue]]] = {}
    for name, demand in replicas.items():
        for figure, value in {} if demand is None else demand.figures().items():
            raw.setdefault(figure, {})[ids[name]] = [TimeStampedValue(1.0, 0.0), TimeStampedValue(2.0, value)]
    return AutoscalingContext(
        deployment_id=DEPLOYMENT,
        deployment_name=DEPLOYMENT.name,
        app_name=DEPLOYMENT.app_name,
        current_num_replicas=len(replicas),
        target_num_replicas=target,
        running_replicas=list(ids.values()),
        total_num_requests=requests.get("ongoing", 0.0),
        total_queued_requests=requests.get("queued", 0.0),
        aggregated_metrics={},
        raw_metrics=raw,
        capacity_adjusted_min_replicas=0,
        capacity_adjusted_max_replicas=8,
        policy_state={},
        last_scale_up_time=None,
        last_scale_down_time=None,
        current_time=None,
        config=config,
    )


class FakeMeter:
    """A gauge or a counter of Ray's, by the values of its tags."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}

    def set(self, value: float, tags: Mapping[str, str]) -> None:
        self.values[" ".join(tags.values())] = value

    def inc(self, value: float, tags: Mapping[str, str]) -> None:
        self.values[" ".join(tags.values())] = self.values.get(" ".join(tags.values()), 0) + value


@pytest.fixture
def policy() -> TokenPolicy:
    return TokenPolicy(latency_target_ms=500, requests_in_replica=256)


def _busy(share: float) -> ReplicaDemand:
    return ReplicaDemand(share * PACE, share, 0, PACE)


def test_it_adds_up_what_the_replicas_report_last(policy: TokenPolicy) -> None:
    assert policy(_context({"a": _busy(BUSY), "b": _busy(2 * BUSY)}, target=2)) == (3, {})


def test_replicas_that_are_up_and_have_not_reported_are_left_alone(policy: TokenPolicy) -> None:
    assert policy(_context({"a": None}, target=4))[0] == 4


def test_a_replica_that_has_not_reported_counts_as_running(policy: TokenPolicy) -> None:
    assert policy(_context({"a": _busy(3 * BUSY), "b": None, "c": None}, target=3))[0] == 3


def test_nothing_to_do_is_no_replica(policy: TokenPolicy) -> None:
    assert policy(_context({"a": ReplicaDemand(0, 0, 0, PACE)}, target=1))[0] == 0
    assert policy(_context({"a": ReplicaDemand(0, 0, 0, PACE)}, target=1, ongoing=1))[0] == 1


@pytest.mark.parametrize(("share", "target", "needed"), [(0.1, 1, 2), (0.1, 2, 2), (0.1, 4, 4), (5 * BUSY, 1, 5)])
def test_requests_that_find_no_place_ask_for_a_replica_whatever_their_tokens(
    policy: TokenPolicy, share: float, target: int, needed: int
) -> None:
    small = ReplicaDemand(share * PACE, share * PACE, 0, PACE)
    assert policy(_context({"a": small}, target, ongoing=300, queued=44))[0] == needed


def test_a_variant_that_has_just_woken_had_requests_wait_and_needs_no_more_for_it(policy: TokenPolicy) -> None:
    assert policy(_context({"a": _busy(0.1)}, target=1, ongoing=8, queued=6))[0] == 1


def test_the_pace_outlives_the_replica_that_showed_it(policy: TokenPolicy) -> None:
    policy(_context({"a": _busy(0.1)}, target=1))
    new = ReplicaDemand(2 * BUSY * PACE, 1, 0, 0)
    assert policy(_context({"b": new}, target=1))[0] == 2


def test_a_decision_is_logged_once_with_its_reason(policy: TokenPolicy, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "ray.serve"):
        for _ in range(3):
            policy(_context({"a": _busy(2 * BUSY)}, target=1))
        policy(_context({"a": _busy(2 * BUSY)}, target=2))
    assert [record.getMessage() for record in caplog.records] == [
        "minilm-l6 needs 2 replicas (arrivals): 1,000 tokens/s arrive, 0 wait too long, a replica does 1,000 tokens/s; "
        "1 of 1 run",
    ]


def test_a_decision_is_counted_and_what_it_is_made_from_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    meters: dict[str, FakeMeter] = {}
    for kind in ("Gauge", "Counter"):
        monkeypatch.setattr(
            f"serve_app.scorer.autoscaling.{kind}", lambda name, *_: meters.setdefault(name, FakeMeter())
        )
    policy = TokenPolicy(latency_target_ms=500, requests_in_replica=256)
    for _ in range(2):
        policy(_context({"a": _busy(2 * BUSY)}, target=1))
    assert {name: meter.values for name, meter in meters.items()} == {
        "rerank_needed_replicas": {"minilm-l6": 2},
        "rerank_arriving_tokens_per_second": {"minilm-l6": 2 * BUSY * PACE},
        "rerank_waiting_tokens": {"minilm-l6": 0},
        "rerank_replica_tokens_per_second": {"minilm-l6": PACE},
        "rerank_scaling_decisions_total": {"minilm-l6 arrivals": 1},
    }


def test_ray_loads_it_from_the_options_and_applies_delays(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("ray.serve.autoscaling_policy.time.time", lambda: now)
    options = deployment_options(catalog.variants["minilm-l6"], False, "cuda", AppArgs())
    with pytest.warns(DeprecationWarning, match="metrics_interval_s"):
        config = AutoscalingConfig(**options["autoscaling_config"])
    made = config.policy.get_policy()(**config.policy.policy_kwargs)
    asked = _apply_autoscaling_config(made)

    decided, state = asked(_context({"a": _busy(4 * BUSY)}, 1, config))
    assert decided == 1
    now += config.upscale_delay_s
    context = _context({"a": _busy(4 * BUSY)}, 1, config)
    context.policy_state = state
    assert asked(context)[0] == 4
    assert asked(_context({}, 0, config, ongoing=1))[0] == 1  # from none: Ray itself, at once


def test_the_process_that_runs_it_has_no_torch() -> None:
    code = "import sys, serve_app.scorer.autoscaling; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=120).returncode == 0
