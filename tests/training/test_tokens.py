import numpy as np
import pytest
import torch

from serve_app.scorer.loading import LoadedModel
from serve_app.scorer.packing import Row, pad
from serve_app.scorer.tokenizer import MAX_LENGTH
from training.tokens import ROUNDED, Gatherer, Texts

QUERIES = ["river", "the sea and the mountain?", "river", "a", "music " * 30]
PASSAGES = ["", "bread", "the house is in berlin. " * 20, "people " * 700, "sea", "of the " * 40]


@pytest.fixture(scope="module")
def texts(teacher: LoadedModel) -> Texts:
    return Texts.of(QUERIES, PASSAGES, teacher.tokenizer)


def _stock(teacher: LoadedModel, query: str, passage: str) -> Row:
    return teacher.tokenizer.rows_now(query, [passage])[0]


def _cut(row: Row, longest: int) -> Row:
    if len(row.ids) <= longest:
        return row
    return Row(np.append(row.ids[: longest - 1], row.ids[-1]), row.document_start)


def test_a_row_is_the_tokenizers(teacher: LoadedModel, texts: Texts) -> None:
    for query in QUERIES:
        for place, passage in enumerate(PASSAGES):
            row, expected = texts.row(texts.places[query], place), _stock(teacher, query, passage)
            assert row.document_start == expected.document_start
            assert row.ids.dtype == np.int32
            assert row.ids.tolist() == expected.ids.tolist()


def test_each_query_is_there_once(texts: Texts) -> None:
    assert sorted(texts.places.values()) == list(range(len(texts.queries.lengths))) == [0, 1, 2, 3]


@pytest.mark.parametrize("longest", [32, 40, 192, MAX_LENGTH])
def test_gathered_rows_are_the_tokenizers_padded(teacher: LoadedModel, texts: Texts, longest: int) -> None:
    queries = np.array([texts.places[query] for query in QUERIES for _ in PASSAGES])
    passages = np.array([place for _ in QUERIES for place in range(len(PASSAGES))])
    rows = [_cut(_stock(teacher, query, passage), longest) for query in QUERIES for passage in PASSAGES]
    found = Gatherer(texts, "cpu").rows(queries, passages, longest)
    expected = pad(rows, texts.pad_id, (len(rows), found.ids.shape[1]))
    assert texts.lengths(queries, passages, longest).tolist() == [len(row.ids) for row in rows]
    assert torch.equal(found.ids, torch.from_numpy(expected.ids))
    assert torch.equal(found.segments, torch.from_numpy(expected.segments))
    assert torch.equal(found.mask[:, 0, 0], torch.from_numpy(expected.mask))


def test_rows_are_padded_to_the_next_multiple_at_most_to_the_longest(texts: Texts) -> None:
    gatherer = Gatherer(texts, "cpu")
    one = np.array([0])
    assert gatherer.rows(one, np.array([1]), 192).ids.shape == (1, ROUNDED)
    assert gatherer.rows(one, np.array([3]), 40).ids.shape == (1, 40)
