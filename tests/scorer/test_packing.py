import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from serve_app.scorer.packing import Row, eighths, fill, group, pack, pad


@given(st.lists(st.integers(1, 512), max_size=200), st.integers(1, 4_096))
def test_groups_hold_every_row_once_and_stay_under_the_budget(lengths: list[int], budget: int) -> None:
    groups = group(lengths, budget)
    assert sorted(index for members in groups for index in members) == list(range(len(lengths)))
    for members in groups:
        longest = max(lengths[i] for i in members)
        assert longest * len(members) <= budget or len(members) == 1


@given(st.lists(st.integers(1, 512), min_size=1, max_size=200))
def test_rows_of_like_length_go_together(lengths: list[int]) -> None:
    ordered = [lengths[i] for members in group(lengths, 1_024) for i in members]
    assert ordered == sorted(lengths, reverse=True)


def test_padding() -> None:
    rows = [Row(np.array([5, 6, 7, 8], dtype=np.int32), 2), Row(np.array([5, 9], dtype=np.int32), 1)]
    batch = pad(rows, pad_id=3)
    assert batch.ids.tolist() == [[5, 6, 7, 8], [5, 9, 3, 3]]
    assert batch.segments.tolist() == [[0, 0, 1, 1], [0, 1, 0, 0]]
    assert batch.mask.tolist() == [[True] * 4, [True, True, False, False]]


def test_padding_to_a_larger_shape() -> None:
    """Nothing of it is wholly masked: attention to nothing is not a number."""
    batch = pad([Row(np.array([5, 6, 7], dtype=np.int32), 2)], pad_id=3, shape=(2, 4))
    assert batch.ids.tolist() == [[5, 6, 7, 3], [3, 3, 3, 3]]
    assert batch.segments.tolist() == [[0, 0, 1, 0], [0, 0, 0, 0]]
    assert batch.mask.tolist() == [[True, True, True, False], [True, False, False, False]]


def test_packing() -> None:
    rows = [Row(np.array([5, 6, 7, 8], dtype=np.int32), 2), Row(np.array([5, 9], dtype=np.int32), 1)]
    batch = pack(rows)
    assert batch.ids.tolist() == [5, 6, 7, 8, 5, 9]
    assert batch.segments.tolist() == [0, 0, 1, 1, 0, 1]
    assert batch.positions.tolist() == [0, 1, 2, 3, 0, 1]
    assert batch.starts.tolist() == [0, 4, 6]
    assert batch.longest == 4


def test_packing_up_to_a_multiple() -> None:
    rows = [Row(np.array([5, 6, 7], dtype=np.int32), 2), Row(np.array([5, 9], dtype=np.int32), 1)]
    batch = pack(rows, step=4)
    assert batch.ids.tolist() == [5, 6, 7, 5, 9, 0, 0, 0]
    assert batch.segments.tolist() == [0, 0, 1, 0, 1, 0, 0, 0]
    assert batch.positions.tolist() == [0, 1, 2, 0, 1, 0, 0, 0]
    assert batch.starts.tolist() == [0, 3, 5]


@given(st.integers(1, 5_000))
def test_an_eighth_is_enough_and_little_more(size: int) -> None:
    assert size <= eighths(size) < size * 9 / 8 + 1
    assert eighths(eighths(size)) == eighths(size)


def test_eighths_are_few() -> None:
    assert [eighths(size) for size in (1, 8, 15, 16, 17, 33, 63, 65)] == [1, 8, 15, 16, 18, 36, 64, 72]
    assert len({eighths(size) for size in range(1, 2_049)}) == 16 + 8 * 7


@given(st.lists(st.integers(1, 512), max_size=200), st.integers(1, 4_096))
def test_filled_groups_keep_the_order_and_waste_nothing(lengths: list[int], budget: int) -> None:
    groups = fill(lengths, budget)
    assert [index for members in groups for index in members] == list(range(len(lengths)))
    totals = [sum(lengths[i] for i in members) for members in groups]
    assert all(total <= budget or len(members) == 1 for total, members in zip(totals, groups, strict=True))
    for total, following in zip(totals, groups[1:], strict=False):
        assert total + lengths[following[0]] > budget
