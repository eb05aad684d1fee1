"""The token ids of both families of vocabularies, as numbers: no library, and none of our code, worked them out here.

English: the uncased vocabulary of all variants but one, from `tokenizer.json` or from `vocab.txt`, as repositories
have it. Multilingual: the rules of amberoad's, on a vocabulary small enough to be read.
"""

from pathlib import Path

import pytest

from serve_app.scorer.tokenizer import PairTokenizer

QUERY = "How many people live in Berlin?"
QUERY_IDS = [2129, 2116, 2111, 2444, 1999, 4068, 1029]
ENGLISH = {
    "": [],
    "Berlin is well known for its museums.": [4068, 2003, 2092, 2124, 2005, 2049, 9941, 1012],
    "Berlin had a population of 3,520,031 registered inhabitants": (
        [4068, 2018, 1037, 2313, 1997, 1017, 1010, 19611, 1010, 6021, 2487, 5068, 4864]
    ),
    "CAFÉ re\u0301sume\u0301 über naïve Ångström": [7668, 13746, 19169, 15743, 17076, 15687],
    "don't stop-me... now!!1": [2123, 1005, 1056, 2644, 1011, 2033, 1012, 1012, 1012, 2085, 999, 999, 1015],
    "unaffable electroencephalography": [14477, 20961, 3468, 16175, 10127, 21890, 21197, 26228],
    "🎉 party 🔥!": [100, 2283, 100, 999],
    "日本Berlin你好": [1864, 1876, 4068, 100, 100],
    "\u200bthe\x00se\ufffd sea\tof\u00a0sand": [2122, 2712, 1997, 5472],
    "x" * 101 + " sea": [100, 2712],
}
BYTES = {"\n": 231_508, "\r\n": 262_030}
"""Of vocab.txt: 30,522 lines, with either line end. The second is that of the DistilBERT's repository."""

MULTILINGUAL = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "of", "and"),  # 0-7
    *("cafe", "##s", "你", "好", "世", "界", "москва", "чаика"),  # 8-15
    *(".", ",", "?", "テータ", "ber", "##lin", "hat", "##te"),  # 16-23
    *("\u1112\u1161\u11ab\u1100\u116e\u11a8", "हिनदी", "paris", "«", "»"),  # 24-28
    # What a tokenizer finds that keeps case or accents, or does not split CJK.
    *("Café", "café", "Москва", "чайка", "你好", "データ", "世界"),  # 29-35
]
FOREIGN = {
    "你好,世界": [10, 11, 17, 12, 13],
    "世界cafés": [12, 13, 8, 9],
    "Cafés of the CAFE\u0301": [8, 9, 6, 5, 8],
    "Москва, «Чайка».": [14, 17, 27, 15, 28, 16],
    "データ データ界": [19, 19, 13],
    "한국 हिन्दी": [24, 25],
    "Berlin hätte Paris?": [20, 21, 22, 23, 26, 18],
    "بغداد and 🎉": [1, 7, 1],
    "好Warszawa好": [11, 1, 11],
}


@pytest.fixture(scope="module", params=["tokenizer.json", "vocab.txt", "vocab.txt with \\r\\n"])
def english(
    request: pytest.FixtureRequest,
    real_tokenizer: PairTokenizer,
    real_models: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> PairTokenizer:
    """The real vocabulary, in each of the forms that the hub has it in."""
    if request.param == "tokenizer.json":
        return real_tokenizer
    end = "\r\n" if "with" in request.param else "\n"
    folder = tmp_path_factory.mktemp("vocabulary")
    content = (real_models / "ms-marco-MiniLM-L12-v2" / "vocab.txt").read_bytes().replace(b"\n", end.encode())
    (folder / "vocab.txt").write_bytes(content)
    assert len(content) == BYTES[end]
    return PairTokenizer.from_folder(folder)


@pytest.fixture(scope="module")
def multilingual(tmp_path_factory: pytest.TempPathFactory) -> PairTokenizer:
    folder = tmp_path_factory.mktemp("multilingual")
    (folder / "vocab.txt").write_text("\n".join(MULTILINGUAL) + "\n", encoding="utf-8")
    return PairTokenizer.from_folder(folder)


def _document_ids(tokenizer: PairTokenizer, text: str) -> list[int]:
    row = tokenizer.rows_now("", [text])[0]
    ids: list[int] = row.ids[row.document_start : -1].tolist()
    return ids


@pytest.mark.parametrize("text", ENGLISH)
def test_english_text(english: PairTokenizer, text: str) -> None:
    assert _document_ids(english, text) == ENGLISH[text]


def test_an_english_pair_and_where_its_second_segment_starts(english: PairTokenizer) -> None:
    row, empty = english.rows_now(QUERY, ["Café in Berlin!", ""])
    assert row.ids.tolist() == [101, *QUERY_IDS, 102, 7668, 1999, 4068, 999, 102]
    assert empty.ids.tolist() == [101, *QUERY_IDS, 102, 102]
    assert (row.document_start, empty.document_start) == (9, 9)


def test_only_the_document_of_a_long_pair_is_cut(english: PairTokenizer) -> None:
    """To 512 in all, though neither form of the vocabulary alone says so."""
    row = english.rows_now(QUERY, ["river sea " * 300])[0]
    assert row.ids.tolist() == [101, *QUERY_IDS, 102, *[2314, 2712] * 251, 102]
    assert (len(row.ids), row.document_start) == (512, 9)


def test_the_padding_id_of_english(english: PairTokenizer) -> None:
    assert english.pad_id == 0


@pytest.mark.parametrize("text", FOREIGN)
def test_multilingual_text(multilingual: PairTokenizer, text: str) -> None:
    assert _document_ids(multilingual, text) == FOREIGN[text]


def test_a_multilingual_pair_and_where_its_second_segment_starts(multilingual: PairTokenizer) -> None:
    row = multilingual.rows_now("世界, Café?", ["Москва и чайка."])[0]
    assert row.ids.tolist() == [2, 12, 13, 17, 8, 18, 3, 14, 1, 15, 16, 3]
    assert row.document_start == 7


def test_a_long_multilingual_pair_is_cut_to_512(multilingual: PairTokenizer) -> None:
    """amberoad's tokenizer_config.json knows no length."""
    row = multilingual.rows_now("世界", ["你好" * 400])[0]
    assert row.ids.tolist() == [2, 12, 13, 3, *[10, 11] * 253, 10, 3]
    assert (len(row.ids), row.document_start) == (512, 4)
