"""Many rows at once, in passes side by side."""

from collections.abc import Sequence

import pytest

from serve_app.scorer.engine import TorchEngine
from serve_app.scorer.loading import LoadedModel
from serve_app.scorer.packing import Row
from serve_app.scorer.streaming import compute
from serve_app.scorer.tokenizer import PairTokenizer
from tests.checkpoints import WORDS


@pytest.mark.parametrize(("documents", "budget", "passes"), [(12, 100, 2), (3, 2_048, 1)])
def test_passes_are_alone_only_where_there_is_one(
    documents: int,
    budget: int,
    passes: int,
    engine: TorchEngine,
    tokenizer: PairTokenizer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = tokenizer.rows_now("the river", [" ".join(WORDS[:n]) for n in range(1, documents + 1)])
    expected = engine.run(rows)
    told: list[bool] = []
    run = engine.run

    def counted(rows: Sequence[Row], alone: bool) -> list[float]:
        told.append(alone)
        return run(rows, alone)

    monkeypatch.setattr(engine, "token_budget", budget)
    monkeypatch.setattr(engine, "run", counted)
    assert compute(LoadedModel(tokenizer, engine), rows) == pytest.approx(expected, abs=1e-5)
    assert told == [passes == 1] * passes
