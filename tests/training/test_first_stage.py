import bm25s
import pytest

from training.corpus import Corpus
from training.first_stage import AT_ONCE, FirstStage


def _queries(corpus: Corpus) -> list[str]:
    """More than are looked up at once."""
    return [f"{query} number {n}" for n in range(3) for query in corpus.queries][: AT_ONCE + 20]


def test_it_finds_what_bm25s_finds(corpus: Corpus) -> None:
    """By the scores: equal ones come in any order."""
    queries = _queries(corpus)
    index = bm25s.BM25()
    index.index(bm25s.tokenize(list(corpus.passages), show_progress=False), show_progress=False)
    tokens = bm25s.tokenize(queries, return_ids=False, show_progress=False)
    expected = index.retrieve(tokens, k=10, show_progress=False).scores
    found = FirstStage(corpus.passages, range(len(corpus.passages)), "cpu").search(queries, 10)
    assert len(found) == len(queries)
    for words, places, best in zip(tokens, found, expected, strict=True):
        assert len(set(places)) == 10
        assert index.get_scores(words)[places] == pytest.approx(best, abs=1e-5)


def test_of_few_passages_it_finds_all(corpus: Corpus) -> None:
    [found] = FirstStage(corpus.passages, range(40, 47), "cpu").search(["river"], 10)
    assert sorted(found) == list(range(40, 47))


def test_a_query_of_unknown_words_finds_something(corpus: Corpus) -> None:
    found = FirstStage(corpus.passages, range(len(corpus.passages)), "cpu").search(["xyzzy", "the", ""], 4)
    assert [len(set(places)) for places in found] == [4, 4, 4]


def test_no_queries(corpus: Corpus) -> None:
    assert FirstStage(corpus.passages, range(len(corpus.passages)), "cpu").search([], 4) == []
