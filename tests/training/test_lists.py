import pytest

from training import lists
from training.corpus import Corpus
from training.lists import HELD_OUT, OTHERS, RANKS, make_plan


def test_held_out_queries_are_in_no_training_list(corpus: Corpus) -> None:
    plan = make_plan(corpus, seed=3, questions=0)
    hidden = {each.query for each in plan.held_out}
    assert len(hidden) == HELD_OUT
    assert not hidden & {each.query for each in plan.training}


def test_a_query_that_is_held_out_is_dropped_from_the_other_sources_too(corpus: Corpus) -> None:
    both = Corpus(corpus.passages, [each.query for each in corpus.retrieved], corpus.retrieved)
    plan = make_plan(both, seed=3, questions=0)
    assert not {each.query for each in plan.held_out} & {each.query for each in plan.training}


def test_the_seed_decides_everything(corpus: Corpus) -> None:
    assert make_plan(corpus, seed=3, questions=0) == make_plan(corpus, seed=3, questions=0)
    assert make_plan(corpus, seed=3, questions=0).training != make_plan(corpus, seed=4, questions=0).training


def test_the_kinds_of_lists(corpus: Corpus) -> None:
    plan = make_plan(corpus, seed=3, questions=0)
    first_stage, real, made = (
        plan.training[:20],
        plan.training[20 : 20 + len(corpus.queries)],
        plan.training[20 + len(corpus.queries) :],
    )
    assert {each.query for each in first_stage} < {each.query for each in corpus.retrieved}
    assert {each.query for each in real} == set(corpus.queries)
    assert {len(each.passages) for each in real} == {len(RANKS)}
    assert len(made) == len(corpus.passages)
    for each in made:
        words = each.query.replace("?", "").lower().split()
        assert words
        assert set(words) <= set(corpus.passages[each.passages[0]].lower().replace("?", "").replace(".", "").split())
        assert len(set(each.passages)) == len(each.passages) <= 1 + OTHERS


def test_questions_are_taken_from_passages_that_ask_them(corpus: Corpus) -> None:
    plan = make_plan(corpus, seed=3, questions=0)
    asked = [each for each in plan.training if each.query.startswith("What is number")]
    assert len(asked) > 50
    assert all(each.query in corpus.passages[each.passages[0]] for each in asked)
    assert len(corpus.passages) < lists.MADE, "all passages were used"


def test_questions_come_after_the_lists_that_are_there_without_them(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that what the teacher has scored stays scored."""
    monkeypatch.setattr(lists, "make_questions", lambda queries, passages, count, rng: ["what is the sea"] * count)
    without, with_questions = (make_plan(corpus, seed=3, questions=n) for n in (0, 2))
    assert with_questions.training[:-2] == without.training
    assert with_questions.held_out == without.held_out
    for each in with_questions.training[-2:]:
        assert (each.query, len(set(each.passages))) == ("what is the sea", len(RANKS))
