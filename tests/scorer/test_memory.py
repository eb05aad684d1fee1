"""How many tokens a device is given at once: by its speed, and by its memory."""

from collections.abc import Sequence

import pytest
import torch

from serve_app.errors import EngineFailure
from serve_app.scorer.engine import TorchEngine
from serve_app.scorer.packing import PathName, Row, fill
from serve_app.scorer.paths import Path as DevicePath
from serve_app.scorer.tokenizer import PairTokenizer


class _SmallDevice:
    """A fake path: to a device that has no memory for more than `room` tokens at once."""

    name: PathName = "packed"

    def __init__(self, path: DevicePath, room: int) -> None:
        self._path, self._room = path, room
        self.groups, self.tokens, self.prepare = path.groups, path.tokens, path.prepare
        self.passes: list[int] = []

    def launch(self, rows: Sequence[Row]) -> torch.Tensor:
        if (tokens := self.tokens([len(row.ids) for row in rows])) > self._room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.passes.append(tokens)
        return self._path.launch(rows)


def test_a_batch_that_does_not_fit_is_halved_and_later_ones_are_smaller(
    engine: TorchEngine, tokenizer: PairTokenizer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rows = tokenizer.rows_now("the river", ["sea " * 60] * 70)
    length = len(rows[0].ids)
    monkeypatch.setattr(engine, "token_budget", 32 * length)
    expected = engine.run(rows)
    device = _SmallDevice(engine._path, room=16 * length)
    monkeypatch.setattr(engine, "_path", device)
    monkeypatch.setattr(engine, "splits", 0)
    assert engine.run(rows) == pytest.approx(expected, abs=1e-5)
    assert (engine.splits, engine.token_budget) == (2, 16 * length)
    assert f"batches of {16 * length} tokens from now on" in caplog.text
    device.passes.clear()
    assert engine.run(rows) == pytest.approx(expected, abs=1e-5)
    assert device.passes == [16 * length] * 4 + [6 * length]
    assert engine.splits == 2


def test_a_packed_batch_that_does_not_fit_lowers_the_budget_too(
    engine: TorchEngine, tokenizer: PairTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tokens count, and not the padding that it has not."""
    rows = tokenizer.rows_now("the river", ["sea " * 400, *["sea"] * 150])
    total = sum(len(row.ids) for row in rows)
    device = _SmallDevice(engine._path, room=total - 1)
    monkeypatch.setattr(device, "groups", fill)
    monkeypatch.setattr(device, "tokens", sum)
    monkeypatch.setattr(engine, "_path", device)
    monkeypatch.setattr(engine, "token_budget", total)
    engine.run(rows)
    assert engine.token_budget == total // 2


def test_what_does_not_fit_after_halving_is_an_engine_failure(
    engine: TorchEngine, tokenizer: PairTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "token_budget", 4_096)
    monkeypatch.setattr(engine, "_path", _SmallDevice(engine._path, room=20))
    with pytest.raises(EngineFailure):
        engine.run(tokenizer.rows_now("the river", ["sea " * 60] * 4))
    with pytest.raises(EngineFailure):
        engine.run(tokenizer.rows_now("the river", ["sea " * 60]))


def test_a_gpus_budget_is_the_smallest_that_is_nearly_as_fast(
    engine: TorchEngine, tokenizer: PairTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With made-up seconds: 1 ms a pass and 0.1 us a token, so that 65,536 tokens have 88 % of the best rate."""
    [row] = tokenizer.rows_now("the river", ["sea"])
    prepared: list[int] = []
    monkeypatch.setattr(engine, "device", "cuda")
    monkeypatch.setattr(engine, "token_budget", 1_000_000)
    monkeypatch.setattr(engine, "_seconds", lambda rows: 1e-3 + 1e-7 * sum(len(each.ids) for each in rows))
    monkeypatch.setattr(engine._path, "prepare", prepared.append)
    engine.tune(row)
    assert engine.token_budget == 131_072
    assert prepared == [131_072]


def test_a_budget_that_memory_has_lowered_meanwhile_stays_low(
    engine: TorchEngine, tokenizer: PairTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a fake device that has memory for 3,000 tokens."""
    [row] = tokenizer.rows_now("the river", ["sea " * 60])
    monkeypatch.setattr(engine, "device", "cuda")
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    monkeypatch.setattr(engine, "token_budget", 4_096)
    monkeypatch.setattr(engine, "_path", _SmallDevice(engine._path, room=3_000))
    monkeypatch.setattr("serve_app.scorer.engine.smallest_nearly_fastest", max)  # 4,096, which needs two passes
    engine.tune(row)
    assert engine.token_budget <= 2_048


def test_a_cpus_budget_is_what_it_was(
    engine: TorchEngine, tokenizer: PairTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "token_budget", 2_048)
    engine.tune(tokenizer.rows_now("the river", ["sea"])[0])
    assert engine.token_budget == 2_048
