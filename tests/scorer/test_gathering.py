"""Attention over rows that are gathered into a block: of each row alone, whatever lies beside it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from serve_app.catalog import Catalog
from serve_app.scorer import gathering
from serve_app.scorer.checkpoint import load_cross_encoder
from serve_app.scorer.gathering import TOKENS, GatheredLayout, blocks
from serve_app.scorer.inference import InferenceModel
from serve_app.scorer.packing import Packed, Row, pack, pad
from serve_app.scorer.tokenizer import PairTokenizer
from tests.hub_layouts import write_layout

HEADS, WIDTH = 3, 5


def _packed(lengths: list[int]) -> Packed:
    return pack([Row(np.ones(length, dtype=np.int32), 1) for length in lengths], TOKENS)


def _alone(projected: Tensor, packed: Packed) -> list[Tensor]:
    """Of each row its attention, in the words of the definition, fp64: [tokens of the row, hidden]."""
    found = []
    for start, end in zip(packed.starts, packed.starts[1:], strict=False):
        query, key, value = projected[start:end].double().view(-1, 3, HEADS, WIDTH).unbind(1)
        weights = torch.einsum("qhw,khw->hqk", query, key).div(WIDTH**0.5).softmax(-1)
        found.append(torch.einsum("hqk,khw->qhw", weights, value).flatten(1))
    return found


def _attend(lengths: list[int], scale: float) -> tuple[list[Tensor], list[Tensor]]:
    """Each row's attention, in the block and alone."""
    packed = _packed(lengths)
    torch.manual_seed(0)
    projected = scale * torch.randn(len(packed.ids), 3 * HEADS * WIDTH)
    layout = GatheredLayout(packed, HEADS, torch.float32)
    assert len(layout._blocks) == len(blocks(np.array(lengths), HEADS))
    attended = layout.attend(projected)
    assert attended.shape == (len(packed.ids), HEADS * WIDTH)
    first = layout.cls(projected)
    hidden = HEADS * WIDTH
    cls = layout.attend_cls(first[:, :hidden].contiguous(), projected[:, hidden:].contiguous())
    alone = _alone(projected, packed)
    for row, expected in enumerate(alone):
        torch.testing.assert_close(cls[layout.rows[row]].double(), expected[0], rtol=0, atol=1e-5 * scale)
    return [attended[s:e] for s, e in zip(packed.starts, packed.starts[1:], strict=False)], alone


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 70), min_size=1, max_size=20), st.sampled_from([1, 1_000, gathering.SPLIT_SAVES]))
def test_a_row_sees_its_own_tokens_alone(lengths: list[int], split_saves: int) -> None:
    """In whatever blocks, and in whatever order."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(gathering, "SPLIT_SAVES", split_saves)
        for together, alone in zip(*_attend(lengths, 1.0), strict=True):
            torch.testing.assert_close(together.double(), alone, rtol=0, atol=3e-6)


def test_blocks_have_rows_of_like_length() -> None:
    passages = np.array([200, 160, 130, 110, 100, 90, 80, 70, 60, 50])
    assert blocks(passages, heads=12) == [3, 10]
    assert blocks(passages, heads=2) == [10]
    assert blocks(np.array([104] * 20), heads=12) == [20]
    assert blocks(np.array([7]), heads=12) == [1]


@given(st.lists(st.integers(1, 512), min_size=1, max_size=60))
def test_blocks_hold_every_row_once(lengths: list[int]) -> None:
    ends = blocks(np.array(sorted(lengths, reverse=True)), heads=12)
    assert ends == sorted(set(ends))
    assert (ends[0] > 0, ends[-1]) == (True, len(lengths))


@pytest.mark.parametrize("scale", [12.0, 100.0])
def test_scores_out_of_the_range_of_exponentials_lose_nothing(scale: float) -> None:
    """With 12 some rows' exponentials are infinite, or all 0; with 100 nearly all."""
    for together, alone in zip(*_attend([3, 50, 17], scale), strict=True):
        torch.testing.assert_close(together.double(), alone, rtol=0, atol=1e-4 * scale)


def test_the_largest_score_is_looked_for_only_where_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Tensor] = []
    scores = gathering._scores

    def counted(query: Tensor, key: Tensor) -> Tensor:
        made.append(query)
        return scores(query, key)

    monkeypatch.setattr(gathering, "_scores", counted)
    _attend([3, 50, 17], 1.0)
    assert len(made) == 2  # of all tokens, and of the first ones
    made.clear()
    _attend([5] * 17, 1.0)  # a block has 18
    assert len(made) == 2
    made.clear()
    _attend([3, 50, 17], 100.0)
    assert len(made) == 4


def test_blocks_have_few_shapes() -> None:
    shapes = set()
    for rows in range(1, 30):
        for longest in range(1, 2_048 // rows):
            [block] = GatheredLayout(_packed([min(longest, 512)] * rows), 1, torch.float32)._blocks
            shapes.add((block.rows, block._length))
    assert len(shapes) < 500  # with four products each, in one thread and in two: less than oneDNN keeps


@torch.inference_mode()
@pytest.mark.parametrize("name", ["tinybert-l2", "minilm-l2", "nboost-tinybert", "electra-base", "distilbert-cat"])
def test_rows_score_as_alone(name: str, catalog: Catalog, tokenizer: PairTokenizer, tmp_path: Path) -> None:
    """Every body and head of the catalog, a head width of 26 among them."""
    write_layout(name, tmp_path, seed=1)
    serving = InferenceModel(load_cross_encoder(catalog.variants[name], tmp_path))
    rows = tokenizer.rows_now("the river in berlin", ["", "sea and bread", "people of the mountain " * 30])
    packed = pack(rows, TOKENS)
    ids, segments, positions = map(torch.from_numpy, (packed.ids, packed.segments, packed.positions))
    layout = GatheredLayout(packed, serving.heads, torch.float32)
    together = serving.packed(ids, segments, positions, layout)[layout.rows]
    single = [pad([row]) for row in rows]
    alone = [serving.padded(torch.from_numpy(row.ids), torch.from_numpy(row.segments), None) for row in single]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=3e-6)
