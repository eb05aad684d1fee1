import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import BertTokenizer, PreTrainedTokenizerBase

from serve_app.errors import InputTooLong, WeightsInvalid
from serve_app.scorer import tokenizer as module
from serve_app.scorer.tokenizer import MAX_LENGTH, ROOM, Pairs, PairTokenizer
from serve_app.scoring import Reading
from tests.checkpoints import WORDS, write_vocabulary

TEXTS = [
    "",
    "the river",
    "Café über naïve ÅNGSTRÖM",
    "你好,世界 and 日本語テキスト",
    "مرحبا بالعالم",
    "😀😀 👩‍👩‍👧‍👦 🎉",
    "null\x00byte and \u200b zero width \ufffd",
    "tabs\tand\r\nlines\u2028",
    "[SEP] [CLS] [MASK] [PAD] [UNK]",
    "a" * 1_000,
    "don't stop-me... now!!1",
    "   spaces   ",
]


def _same(ours: PairTokenizer, stock: PreTrainedTokenizerBase, query: str, documents: list[str]) -> None:
    rows = ours.rows_now(query, documents)
    for row, document in zip(rows, documents, strict=True):
        # As lists: transformers 5.23 takes a lone empty second text for none.
        expected = stock([query], [document], truncation="only_second", max_length=MAX_LENGTH)
        assert row.ids.tolist() == expected["input_ids"][0]
        segments = [int(place >= row.document_start) for place in range(len(row.ids))]
        assert segments == expected["token_type_ids"][0]


@pytest.mark.parametrize("query", TEXTS)
def test_ids_are_the_stock_pair_encoding(tokenizer: PairTokenizer, stock: PreTrainedTokenizerBase, query: str) -> None:
    _same(tokenizer, stock, query, TEXTS)


def test_known_documents_have_the_same_ids_beside_another_query(
    tokenizer: PairTokenizer, stock: PreTrainedTokenizerBase
) -> None:
    """A longer query leaves them less room, a shorter one more; new ones may be among them."""
    documents = ["sea of bread " * 400, "an island known twice", "an island known twice"]
    for query in ("river " * 200, "river", "river and sea " * 100):
        _same(tokenizer, stock, query, [*documents, query])
    before = tokenizer.cache.hits, tokenizer.cache.misses
    tokenizer.rows_now("sea", documents)
    assert (tokenizer.cache.hits, tokenizer.cache.misses) == (before[0] + 3, before[1])


@pytest.mark.parametrize("query", TEXTS)
def test_ids_are_the_stock_pair_encoding_with_the_real_vocabulary(
    real_tokenizer: PairTokenizer, real_stock: PreTrainedTokenizerBase, query: str
) -> None:
    _same(real_tokenizer, real_stock, query, TEXTS)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(WORDS), min_size=1, max_size=60).map(" ".join),
    st.lists(st.lists(st.sampled_from([*WORDS, "ü", "你", "!", "x" * 120]), max_size=900).map(" ".join), max_size=4),
)
def test_truncation_is_the_stock_one_of_the_document(
    tokenizer: PairTokenizer, stock: PreTrainedTokenizerBase, query: str, documents: list[str]
) -> None:
    _same(tokenizer, stock, query, documents)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_reading_a_prefix_of_a_long_text_changes_no_id(
    tokenizer: PairTokenizer, stock: PreTrainedTokenizerBase, data: st.DataObject
) -> None:
    """With a prefix so short that it cuts words, long words, accents and special tokens apart."""
    piece = st.sampled_from([*WORDS, "e\u0301", "[SEP]", "你", "!", "x" * 99, "x" * 130, " ", "\u200b"])
    text = "".join(data.draw(st.lists(piece, max_size=250)))
    most = data.draw(st.integers(1, 200))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PREFIX_CHARS", data.draw(st.integers(1, 300)))
        row = _pairs(tokenizer, [text], Reading(most)).rows[0]
    whole = stock([text], add_special_tokens=False)["input_ids"][0]
    assert row.ids[row.document_start : -1].tolist() == whole[:most]


@pytest.mark.parametrize(
    "text", ["!" * 2_000_000, "a" * 1_000_000, "river " * 300_000, " " * 1_000_000, "😀" * 200_000]
)
def test_a_megabyte_of_one_thing(tokenizer: PairTokenizer, text: str) -> None:
    row = tokenizer.rows_now("the sea", [text])[0]
    assert 4 <= len(row.ids) <= MAX_LENGTH


def test_a_query_that_fits_is_never_cut(tokenizer: PairTokenizer) -> None:
    query = "river " * (ROOM - 1)
    row = tokenizer.rows_now(query, ["sea bread"])[0]
    assert (row.document_start, len(row.ids)) == (ROOM + 1, MAX_LENGTH)


def test_a_query_that_leaves_no_room_gives_half_of_it_away(tokenizer: PairTokenizer) -> None:
    row = tokenizer.rows_now("river " * 5_000, ["sea " * 5_000])[0]
    assert (row.document_start, len(row.ids)) == (ROOM // 2 + 2, MAX_LENGTH)
    assert row.ids[row.document_start - 1] == row.ids[-1] == tokenizer.rows_now("the", ["of"])[0].ids[-1]


def test_max_tokens_per_doc_cuts_the_document_alone(tokenizer: PairTokenizer) -> None:
    rows = _pairs(tokenizer, ["sea " * 50, "sea"], Reading(max_tokens_per_doc=3)).rows
    assert [len(row.ids) - row.document_start for row in rows] == [4, 2]


def test_rows_keep_the_order_of_many_documents(tokenizer: PairTokenizer) -> None:
    documents = ["sea " * (n % 7) for n in range(1_000)]
    rows = _pairs(tokenizer, documents, Reading()).rows
    assert [len(row.ids) - row.document_start - 1 for row in rows] == [n % 7 for n in range(1_000)]


def _pairs(tokenizer: PairTokenizer, documents: Sequence[str], reading: Reading) -> Pairs:
    return asyncio.run(tokenizer.pairs(["the river"], documents, reading))


def test_a_query_for_each_document(tokenizer: PairTokenizer) -> None:
    queries = ["sea", "the river", "sea"] * 200
    documents = ["bread " * (n % 5) for n in range(600)]
    pairs = asyncio.run(tokenizer.pairs(queries, documents, Reading()))
    assert pairs.documents == list(range(600))
    for row, query, document in zip(pairs.rows, queries, documents, strict=True):
        assert row.ids.tolist() == tokenizer.rows_now(query, [document])[0].ids.tolist()


def test_a_long_document_is_read_in_chunks(tokenizer: PairTokenizer) -> None:
    text = " ".join(f"sea {'river ' * (n % 3)}bread" for n in range(600))
    whole = tokenizer._first_ids([text], 5_000)[0]
    room = MAX_LENGTH - 1 - tokenizer.rows_now("the river", ["a"])[0].document_start
    pairs = _pairs(tokenizer, ["sea", text, "bread"], Reading(max_chunks_per_doc=3, overlap_tokens=9))
    assert pairs.documents == [0, 1, 1, 1, 2]
    for number, row in enumerate(pairs.rows[1:4]):
        start = number * (room - 9)
        assert row.ids[row.document_start : -1].tolist() == whole[start : start + room].tolist()


def test_what_is_too_long_and_must_not_be_cut_is_named(tokenizer: PairTokenizer) -> None:
    whole = Reading(truncate=False)
    assert len(_pairs(tokenizer, ["sea " * 506], whole).rows[0].ids) == MAX_LENGTH - 1
    with pytest.raises(InputTooLong, match="document 300 has 508 tokens and 507 fit beside the query") as caught:
        _pairs(tokenizer, ["sea"] * 300 + ["sea " * 508], whole)
    assert caught.value.param == "documents.300"
    with pytest.raises(InputTooLong, match="has at least 10000 tokens"):
        _pairs(tokenizer, ["sea " * 20_000], whole)
    with pytest.raises(InputTooLong, match="the query has at least 509 tokens"):
        asyncio.run(tokenizer.pairs(["river " * 600], ["sea"], whole))
    assert len(_pairs(tokenizer, ["sea " * 508], Reading(3, truncate=False)).rows[0].ids) < 10
    assert len(_pairs(tokenizer, ["sea " * 1_000], Reading(truncate=False, max_chunks_per_doc=2)).rows) == 2


def test_a_vocabulary_with_windows_line_ends(tmp_path: Path, stock: PreTrainedTokenizerBase) -> None:
    write_vocabulary(tmp_path, newline="\r\n")
    _same(PairTokenizer.from_folder(tmp_path), stock, "the river", ["sea and bread"])


def test_a_vocabulary_without_words_is_refused(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n")
    with pytest.raises(WeightsInvalid, match="does not know the, of, and"):
        PairTokenizer.from_folder(tmp_path)


@pytest.mark.parametrize("content", [None, "{not json"])
def test_a_tokenizer_that_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(WeightsInvalid, match="cannot be read") as caught:
        PairTokenizer.from_folder(tmp_path)
    assert str(tmp_path) not in caught.value.message


def test_the_stock_tokenizer_is_not_an_empty_one(stock: PreTrainedTokenizerBase) -> None:
    assert isinstance(stock, BertTokenizer)
    assert stock.unk_token_id not in stock("the river")["input_ids"]
