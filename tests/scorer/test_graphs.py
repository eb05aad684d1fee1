import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from serve_app.scorer.graphs import STEP, GraphPool, Pass, Shape, bucket, full_shapes

BUDGET = 16_384


@pytest.mark.parametrize(
    ("rows", "longest", "shape"),
    [
        (1, 5, (1, 16)),
        (3, 17, (4, 32)),
        (100, 97, (128, 112)),
        (140, 97, (146, 112)),  # as many as the budget allows
        (32, 512, (32, 512)),
        (168, 97, (168, 112)),  # rounding the length up went over the budget
    ],
)
def test_shapes(rows: int, longest: int, shape: Shape) -> None:
    assert bucket(rows, longest, BUDGET) == shape


@given(st.integers(1, 512), st.data())
def test_a_bucket_holds_its_rows_and_shapes_are_few(longest: int, data: st.DataObject) -> None:
    rows = data.draw(st.integers(1, BUDGET // longest))
    shape = bucket(rows, longest, BUDGET)
    assert shape[0] >= rows
    assert 0 <= shape[1] - longest < STEP
    of_that_length = {bucket(n, longest, BUDGET) for n in range(1, BUDGET // shape[1] + 1)}
    assert len(of_that_length) <= 12


def test_the_shapes_of_a_saturated_service_are_recorded_first() -> None:
    shapes = list(full_shapes(BUDGET))
    assert shapes[0] == (32, 512)
    assert shapes[-1] == (1_024, 16)
    assert [bucket(rows, length, BUDGET) for rows, length in shapes] == shapes


def test_each_shape_is_recorded_once_and_not_beyond_the_bound() -> None:
    """With a fake recorder: graphs exist on GPUs alone."""
    recorded: list[Shape] = []

    def record(shape: Shape) -> Pass:
        recorded.append(shape)
        return lambda batch: torch.full((len(batch.ids),), float(shape[1]))

    pool = GraphPool(record, most=2)
    assert pool.find((4, 32)) is pool.find((4, 32))
    assert pool.find((2, 16)) is not None
    assert pool.find((8, 48)) is None
    assert pool.find((2, 16)) is not None
    assert recorded == [(4, 32), (2, 16)]


def test_a_shape_without_memory_to_record_it_is_tried_once(caplog: pytest.LogCaptureFixture) -> None:
    tried: list[Shape] = []

    def record(shape: Shape) -> Pass:
        tried.append(shape)
        if shape[0] > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return lambda batch: torch.zeros(len(batch.ids))

    pool = GraphPool(record)
    assert [pool.find((8, 32)), pool.find((8, 32))] == [None, None]
    assert pool.find((4, 32)) is not None
    assert tried == [(8, 32), (4, 32)]
    assert "no memory to record a pass of 8 rows of 32 tokens" in caplog.text
