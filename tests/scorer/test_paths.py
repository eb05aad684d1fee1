from pathlib import Path
from typing import Any

import pytest
import torch

from serve_app.catalog import Catalog
from serve_app.errors import ConfigurationError
from serve_app.scorer.engine import TorchEngine
from serve_app.scorer.packing import PathName
from serve_app.scorer.paths import GatheredPath, GraphPath, PackedPath, possible_paths
from serve_app.scoring import Device
from tests.running import refused, run


@pytest.mark.parametrize(
    ("device", "dtype", "capability", "paths"),
    [
        ("cpu", "bf16", (9, 0), ("packed",)),
        ("cuda", "fp16", (7, 0), ("graphs",)),  # V100
        ("cuda", "fp16", (8, 0), ("packed", "graphs")),
        ("cuda", "bf16", (9, 0), ("packed", "graphs")),
        ("cuda", "fp32", (9, 0), ("graphs",)),  # variable-length attention is for half precision
    ],
)
def test_the_ways_through_a_device(
    monkeypatch: pytest.MonkeyPatch,
    device: Device,
    dtype: str,
    capability: tuple[int, int],
    paths: tuple[PathName, ...],
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert possible_paths(device, dtype) == paths


def test_a_way_that_the_device_has_not_is_refused(bert: tuple[Path, Any], catalog: Catalog) -> None:
    variant = catalog.in_dtype("fp32").variants["minilm-l6"]
    with pytest.raises(ConfigurationError, match="path graphs does not work on this cpu in fp32: use packed"):
        TorchEngine.load(variant, bert[0], "cpu", pad_id=0, path="graphs")


def test_the_bench_says_so_in_a_sentence() -> None:
    assert "use packed" in refused(run("bench", "rerank-tiny", "--device", "cpu", "--path", "graphs"))


def test_a_batch_costs_its_padding_where_it_has_any() -> None:
    model: Any = None  # nothing is computed
    assert GraphPath.tokens(model, [3, 10, 5]) == 30
    assert PackedPath(model).tokens([3, 10, 5]) == GatheredPath(model).tokens([3, 10, 5]) == 18
