import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.catalog import Serving, Shape, Variant
from serve_app.cluster.placement import CPUS_OF_A_GPU, GPU_BYTES, PROCESS_BYTES, memory_of, place, require_share
from serve_app.errors import ConfigurationError
from tests.cluster.fleets import CATALOG

VARIANTS = list(CATALOG.variants.values())


def _with(variant: Variant, **serving: object) -> Variant:
    return variant.model_copy(update={"serving": variant.serving.model_copy(update=serving)})


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_fits_its_share(variant: Variant) -> None:
    require_share(variant)


def test_memory_is_weights_activations_and_the_process() -> None:
    shape = Shape(layers=1, hidden=10, heads=2, feed_forward=40)
    variant = CATALOG.variants["minilm-l12"].model_copy(
        update={
            "parameters": 1000,
            "shape": shape,
            "serving": Serving(gpu_share=1, token_budget=512, latency_target_ms=500),
        }
    )
    memory = memory_of(variant)
    layer, scores = 2 * (6 * 10 + 2 * 40), 6 * 2 * 512
    assert (memory.weights, memory.working) == (2000, 512 * (layer + scores))
    assert memory.total == memory.weights + memory.working + PROCESS_BYTES
    assert memory_of(_with(variant, dtype="fp32")).weights == 4000


def test_a_replica_that_needs_more_than_its_share_is_refused_with_the_sum() -> None:
    variant = _with(CATALOG.variants["nboost-bert-large"], gpu_share=0.1)
    total = f"{memory_of(variant).total / 1e9:.2f}"
    with pytest.raises(ConfigurationError) as refused:
        place([variant], 1)
    assert re.fullmatch(
        rf"nboost-bert-large does not fit its share of a V100: 0\.67 \(weights\) \+ .* = {total} GB, and 0\.1 of 16 GB "
        r"is 1\.69 GB: raise its gpu_share, or lower its token_budget",
        str(refused.value),
    )


def test_what_starts_at_once_shares_gpus() -> None:
    names = ["minilm-l12", "minilm-l6", "electra-base", "nboost-bert-large"]
    gpus = place([CATALOG.variants[name] for name in names], 2)
    assert [[variant.name for variant in gpu.replicas] for gpu in gpus] == [
        ["nboost-bert-large"],
        ["electra-base", "minilm-l12", "minilm-l6"],
    ]


def test_three_thirds_are_one_gpu() -> None:
    thirds = [_with(VARIANTS[0], gpu_share=1 / 3)] * 3
    assert len(place(thirds, 1)) == 1


def test_more_than_there_may_be_is_refused_with_the_sum() -> None:
    names = ["electra-base", "nboost-bert-base", "tinybert-l6"]
    with pytest.raises(ConfigurationError) as refused:
        place([CATALOG.variants[name] for name in names], 1)
    assert str(refused.value) == (
        "what starts at once does not fit: 0.5 (electra-base) + 0.5 (nboost-bert-base) + 0.33 (tinybert-l6) = 1.33 "
        "takes 2 V100s, with at most 5 replicas on each, and there may be 1: allow more, or choose fewer variants"
    )


def test_small_replicas_run_out_of_cpus_first() -> None:
    assert len(place([CATALOG.variants["tinybert-l2"]] * (CPUS_OF_A_GPU + 1), 2)) == 2


@given(st.lists(st.sampled_from(VARIANTS), max_size=30))
def test_nothing_is_lost_and_no_gpu_is_full_beyond_its_memory(replicas: list[Variant]) -> None:
    gpus = place(replicas, len(replicas) or 1)
    placed = [variant.name for gpu in gpus for variant in gpu.replicas]
    assert sorted(placed) == sorted(variant.name for variant in replicas)
    for gpu in gpus:
        assert gpu.share <= 1 + 1e-6
        assert sum(memory_of(variant).total for variant in gpu.replicas) <= GPU_BYTES
