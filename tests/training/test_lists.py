import pytest

from training import excerpts, lists
from training.corpus import Corpus
from training.lists import DEPTH, MADE, OTHERS, OTHERS_OF_MADE, REPEATED, TOP, Plan, make_plan

HELD_OUT = 4


def _plan(corpus: Corpus, seed: int = 3) -> Plan:
    return make_plan(corpus, seed, "cpu", questions=0)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that most passages are not held out."""
    monkeypatch.setattr(lists, "HELD_OUT", HELD_OUT)


def test_held_out_queries_and_passages_are_in_no_training_list(corpus: Corpus) -> None:
    plan = _plan(corpus)
    hidden = {each.query for each in plan.held_out}
    assert len(hidden) == HELD_OUT
    assert not hidden & {each.query for each in plan.training}
    seen = {plan.passages[place] for each in plan.training for place in each.passages}
    for place in {place for each in plan.held_out for place in each.passages}:
        assert not any(text in plan.passages[place] for text in seen if "What is number" in text)


def test_a_query_that_is_held_out_is_dropped_from_the_other_sources_too(corpus: Corpus) -> None:
    passages = [*corpus.passages, *(f"{each.query}?" for each in corpus.retrieved)]
    plan = _plan(Corpus(passages, [each.query for each in corpus.retrieved], corpus.retrieved))
    assert not {each.query for each in plan.held_out} & {each.query for each in plan.training}


def test_all_lists_of_a_held_out_query_are_held_out_and_what_bm25_finds(corpus: Corpus) -> None:
    twice = Corpus(corpus.passages, corpus.queries, [*corpus.retrieved, *corpus.retrieved])
    held_out = _plan(twice).held_out
    count = len({place for each in held_out for place in each.passages})
    for query in {each.query for each in held_out}:
        sizes = sorted(len(each.passages) for each in held_out if each.query == query)
        assert sizes == [20, 20, min(DEPTH, count)]


def test_the_seed_decides_everything(corpus: Corpus) -> None:
    assert _plan(corpus) == _plan(corpus)
    assert _plan(corpus).training != _plan(corpus, 4).training


def test_the_kinds_of_lists(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excerpts, "SHARE", 0.0)
    plan = _plan(corpus)
    queries = {each.query for each in corpus.retrieved}
    count = 2 * (len(corpus.retrieved) - HELD_OUT) * REPEATED
    first_stage, others = plan.training[:count], plan.training[count:]
    assert {each.query for each in first_stage} < queries
    real = [each for each in others if each.query in set(corpus.queries)]
    assert {each.query for each in real} == set(corpus.queries)
    assert max(len(set(each.passages)) for each in real) == TOP + OTHERS
    made = [each for each in others if each.query not in set(corpus.queries)]
    hidden = {place for each in plan.held_out for place in each.passages}
    assert {each.passages[0] for each in made} == set(range(len(corpus.passages))) - hidden
    for each in made:
        words = each.query.replace("?", "").lower().split()
        assert words
        assert set(words) <= set(corpus.passages[each.passages[0]].lower().replace("?", "").replace(".", "").split())
        assert len(set(each.passages)) == len(each.passages) == 1 + TOP + OTHERS_OF_MADE
    # A query made of a few usual words may be a real one as well.
    assert len(others) == len(corpus.queries) + MADE * (len(corpus.passages) - len(hidden))


def test_some_passages_of_lists_are_excerpts_but_not_of_first_stage_lists(corpus: Corpus) -> None:
    plan = _plan(corpus)
    count = 2 * (len(corpus.retrieved) - HELD_OUT) * REPEATED
    assert max(place for each in plan.training[:count] for place in each.passages) < len(corpus.passages)
    others = [place for each in plan.training[count:] for place in each.passages]
    share = sum(place >= len(corpus.passages) for place in others) / len(others)
    assert share == pytest.approx(excerpts.SHARE, abs=0.02)


def test_questions_are_taken_from_passages_that_ask_them(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excerpts, "SHARE", 0.0)
    asked = [each for each in _plan(corpus).training if each.query.startswith("What is number")]
    assert len(asked) > 50
    assert all(each.query in corpus.passages[each.passages[0]] for each in asked)


def test_lists_of_questions(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(excerpts, "SHARE", 0.0)
    monkeypatch.setattr(lists, "make_questions", lambda queries, passages, count, rng: ["what is the sea"] * count)
    plan = make_plan(corpus, 3, "cpu", questions=2)
    asked = [each for each in plan.training if each.query == "what is the sea"]
    assert [len(set(each.passages)) for each in asked] == [TOP + OTHERS] * 2
    assert set(asked[0].passages[:TOP]) == set(asked[1].passages[:TOP])


def test_pairs_are_those_for_training(corpus: Corpus) -> None:
    plan = _plan(corpus)
    assert plan.pairs == sum(len(each.passages) for each in plan.lists) - sum(
        len(each.passages) for each in plan.held_out
    )
