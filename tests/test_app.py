from pathlib import Path
from typing import Any

import pytest

from serve_app import app
from serve_app.app import AppArgs, build, deployment_options, served_catalog
from serve_app.catalog import Catalog, Variant
from serve_app.errors import ConfigurationError
from serve_app.settings import Limits


def test_a_gpu_replica_takes_the_share_that_the_catalog_gives(catalog: Catalog) -> None:
    options = deployment_options(catalog.variants["minilm-l6"], False, "cuda", AppArgs(threads_per_scorer=2))
    assert options["ray_actor_options"] == {"num_cpus": 2, "num_gpus": 0.25}


def test_replicas_are_scaled_by_tokens_towards_the_target_of_the_catalog(catalog: Catalog) -> None:
    scaling = deployment_options(catalog.variants["minilm-l6"], False, "cuda", AppArgs())["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["initial_replicas"], scaling["max_replicas"]) == (0, 0, 8)
    assert scaling["policy"]["policy_kwargs"] == {"latency_target_ms": 500, "requests_in_replica": 256}
    assert scaling["look_back_period_s"] > scaling["metrics_interval_s"]
    assert scaling["upscale_delay_s"] < scaling["downscale_delay_s"] < scaling["downscale_to_zero_delay_s"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_replicas_may_be_bound_to_one_kind_of_gpu(catalog: Catalog, device: Any) -> None:
    options = deployment_options(catalog.variants["minilm-l6"], False, device, AppArgs(accelerator="V100"))
    assert options["ray_actor_options"] == {"num_cpus": 1, "num_gpus": 0.25, "accelerator_type": "V100"}


def test_a_replica_has_time_to_end_the_longest_request(catalog: Catalog) -> None:
    args = AppArgs(limits=Limits(request_timeout_s=90))
    options = deployment_options(catalog.variants["minilm-l6"], False, "cpu", args)
    assert options["graceful_shutdown_timeout_s"] == 100


def test_on_one_machine_a_replica_reserves_nothing_and_does_not_multiply(catalog: Catalog) -> None:
    args = AppArgs(threads_per_scorer=2, reserve_cpus=False, most_replicas=1)
    options = deployment_options(catalog.variants["minilm-l6"], True, "cpu", args)
    assert options["ray_actor_options"] == {"num_cpus": 0}
    assert options["autoscaling_config"] == {
        "min_replicas": 1,
        "initial_replicas": 1,
        "max_replicas": 1,
        "downscale_to_zero_delay_s": 600,
    }


def test_the_served_catalog_is_what_the_arguments_ask_for() -> None:
    catalog = served_catalog(AppArgs(variants=("minilm-l6",), dtype="fp32"))
    assert [(v.name, v.serving.dtype) for v in catalog.variants.values()] == [("minilm-l6", "fp32")]


def test_all_stages_of_a_default_cascade_start_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    starting: list[str] = []

    def options(variant: Variant, at_once: bool, device: str, args: AppArgs) -> dict[str, Any]:
        starting.extend([variant.name] if at_once else [])
        return {"name": variant.name}

    monkeypatch.setattr(app, "deployment_options", options)
    build(AppArgs(device="cpu", default="l2-then-l12", open=True))
    assert starting == ["tinybert-l2-v2", "minilm-l12"]


@pytest.mark.parametrize(
    ("resources", "wanted", "device"),
    [
        ({"GPU": 1.0}, "auto", "cuda"),
        ({"GPU": 1.0}, "cpu", "cpu"),
        ({}, "auto", "cpu"),
        ({}, "cuda", "cuda"),  # a cluster whose GPU nodes start when they are asked for
    ],
)
def test_the_device_is_a_gpu_when_ray_has_one(
    monkeypatch: pytest.MonkeyPatch, resources: dict[str, float], wanted: Any, device: str
) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray.cluster_resources", lambda: resources)
    used: list[str] = []
    monkeypatch.setattr(app, "_scorer", lambda variant, catalog, device, args: used.append(device))
    build(AppArgs(device=wanted, variants=("minilm-l6",), open=True))
    assert used == [device]


def test_the_device_has_to_be_named_where_no_ray_can_be_asked() -> None:
    with pytest.raises(ConfigurationError, match="say device=cpu or cuda"):
        build(AppArgs(open=True))


def test_somebody_has_to_say_who_may_ask(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="`rerank keys create NAME` makes one"):
        build(AppArgs(device="cpu"))
    with pytest.raises(ConfigurationError, match="exclude each other"):
        build(AppArgs(device="cpu", open=True, keys=tmp_path / "keys.json"))
    with pytest.raises(ConfigurationError, match=r"keys\.json"):
        build(AppArgs(device="cpu", keys=tmp_path / "keys.json"))
