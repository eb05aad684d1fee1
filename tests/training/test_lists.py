from training import lists
from training.corpus import Corpus
from training.lists import HELD_OUT, OTHERS, RANKS, make_plan


def test_held_out_queries_are_in_no_training_list(corpus: Corpus) -> None:
    plan = make_plan(corpus, seed=3)
    hidden = {each.query for each in plan.held_out}
    assert len(hidden) == HELD_OUT
    assert not hidden & {each.query for each in plan.training}


def test_a_query_that_is_held_out_is_dropped_from_the_other_sources_too(corpus: Corpus) -> None:
    both = Corpus(corpus.passages, [each.query for each in corpus.retrieved], corpus.retrieved)
    plan = make_plan(both, seed=3)
    assert not {each.query for each in plan.held_out} & {each.query for each in plan.training}


def test_the_seed_decides_everything(corpus: Corpus) -> None:
    assert make_plan(corpus, seed=3) == make_plan(corpus, seed=3)
    assert make_plan(corpus, seed=3).training != make_plan(corpus, seed=4).training


def test_the_three_kinds_of_lists(corpus: Corpus) -> None:
    plan = make_plan(corpus, seed=3)
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
    plan = make_plan(corpus, seed=3)
    asked = [each for each in plan.training if each.query.startswith("What is number")]
    assert len(asked) > 50
    assert all(each.query in corpus.passages[each.passages[0]] for each in asked)
    assert len(corpus.passages) < lists.MADE, "all passages were used"
