from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.errors import InputTooLong
from serve_app.scorer.chunks import best_of, capacity, chunks, require_fit
from serve_app.scoring import Reading


@pytest.mark.parametrize(
    ("length", "reading", "expected"),
    [
        (0, Reading(), [(0, 0)]),
        (10, Reading(), [(0, 10)]),
        (11, Reading(), [(0, 10)]),
        (25, Reading(max_chunks_per_doc=9), [(0, 10), (10, 20), (20, 25)]),
        (20, Reading(max_chunks_per_doc=9), [(0, 10), (10, 20)]),
        (25, Reading(max_chunks_per_doc=2), [(0, 10), (10, 20)]),
        (25, Reading(max_chunks_per_doc=9, overlap_tokens=4), [(0, 10), (6, 16), (12, 22), (18, 25)]),
        (25, Reading(max_chunks_per_doc=9, overlap_tokens=99), [(0, 10), (5, 15), (10, 20), (15, 25)]),
        (25, Reading(max_tokens_per_doc=12, max_chunks_per_doc=9), [(0, 10), (10, 12)]),
        (25, Reading(max_tokens_per_doc=3), [(0, 3)]),
    ],
)
def test_where_chunks_lie(length: int, reading: Reading, expected: list[tuple[int, int]]) -> None:
    assert [(part.start, part.stop) for part in chunks(length, 10, reading)] == expected


@given(st.integers(0, 3_000), st.integers(1, 509), st.integers(1, 40), st.integers(0, 600))
def test_chunks_reach_as_far_as_their_capacity(length: int, room: int, most: int, overlap: int) -> None:
    reading = Reading(max_chunks_per_doc=most, overlap_tokens=overlap)
    parts = list(chunks(length, room, reading))
    assert parts[0].start == 0
    assert parts[-1].stop == min(length, capacity(room, reading))
    assert all(0 <= part.stop - part.start <= room for part in parts)
    assert all(before.stop >= after.start for before, after in pairwise(parts))
    assert len(parts) <= most


def test_what_fits_is_not_refused() -> None:
    require_fit(3, 20, 10, Reading(max_chunks_per_doc=2), 1_000)
    require_fit(3, 500, 10, Reading(max_tokens_per_doc=10), 1_000)
    with pytest.raises(InputTooLong, match="document 3 has 21 tokens and 20 fit"):
        require_fit(3, 21, 10, Reading(max_chunks_per_doc=2), 1_000)


def test_a_document_scores_what_its_best_chunk_scores() -> None:
    assert best_of([0, 1, 1, 2], [-3.0, -9.0, 2.0, 1.0], 3) == (-3.0, 2.0, 1.0)
