"""Stages and their scores in, one order out: tables, and what holds of every cascade."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve_app.catalog import Catalog
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.errors import InputTooLong
from serve_app.plan import Cascade, Stage
from serve_app.router.cascade import Scored, Step, merge, placed, state_of, steps, timings_of, usage_of
from serve_app.router.ranking import Ranked, Usage
from serve_app.scoring import ScoreOutcome, ScorerState, ScorerStatus, Timings

CATALOG = load_catalog(default_catalog_path())
NAMES = ("rerank-tiny", "minilm-l2", "minilm-l6", "minilm-l12")


def _cascade(keeps: Sequence[int]) -> Cascade:
    stages = [Stage(variant=name, keep=keep) for name, keep in zip(NAMES, (*keeps, None), strict=False)]
    return Cascade(name="x", stages=tuple(stages))


def _scored(keeps: Sequence[int], logits: Sequence[Sequence[float]]) -> list[Scored]:
    """What a cascade scores where the document at place i has `logits[stage - 1][i]` in a stage."""
    places = tuple(range(len(logits[0])))
    found: list[Scored] = []
    for step in steps(CATALOG, _cascade(keeps), len(places)):
        of_stage = logits[(step.stage or 1) - 1]
        outcome = ScoreOutcome(
            tuple(of_stage[place] for place in places), 7 * len(places), len(places), Timings(1, 2, 3)
        )
        found.append(Scored(step, places, outcome))
        places = found[-1].kept()
    return found


@pytest.mark.parametrize(
    ("keeps", "documents", "needed"),
    [
        ([20], 100, [("rerank-tiny", 20, 1), ("minilm-l2", None, 2)]),
        ([20], 21, [("rerank-tiny", 20, 1), ("minilm-l2", None, 2)]),
        ([20], 20, [("minilm-l2", None, 2)]),
        ([20], 1, [("minilm-l2", None, 2)]),
        ([50, 50, 10], 100, [("rerank-tiny", 50, 1), ("minilm-l6", 10, 3), ("minilm-l12", None, 4)]),
        ([50, 20], 30, [("minilm-l2", 20, 2), ("minilm-l6", None, 3)]),
    ],
)
def test_a_stage_that_would_keep_all_is_left_out(
    keeps: list[int], documents: int, needed: list[tuple[str, int | None, int]]
) -> None:
    found = steps(CATALOG, _cascade(keeps), documents)
    assert [(step.variant.name, step.keep, step.stage) for step in found] == needed


def test_a_variant_is_a_plan_of_one_stage_without_a_number(catalog: Catalog) -> None:
    [step] = steps(catalog, catalog.variants["minilm-l6"], 100)
    assert (step.variant.name, step.keep, step.stage) == ("minilm-l6", None, None)
    outcome = ScoreOutcome((1.0, 3.0, 3.0), 21, 3, Timings(1, 2, 3))
    assert merge([Scored(step, (0, 1, 2), outcome)], 2) == (Ranked(1, 3.0), Ranked(2, 3.0))


TABLE: list[tuple[str, list[int], list[list[float]], list[tuple[int, float, int]]]] = [
    (
        "an earlier stage that scores lower stays as it is",
        [2],
        [[-3.0, 9.0, 8.0, -2.0], [0.0, 1.0, 2.0, 0.0]],
        [(2, 2.0, 2), (1, 1.0, 2), (3, -2.0, 1), (0, -3.0, 1)],
    ),
    (
        "one that scores higher is lowered to the lowest above, with its differences",
        [2],
        [[3.0, 9.0, 8.0, 5.0], [0.0, -4.0, -1.0, 0.0]],
        [(2, -1.0, 2), (1, -4.0, 2), (3, -4.0, 1), (0, -6.0, 1)],
    ),
    (
        "three stages",
        [3, 1],
        [[9.0, 8.0, 7.0, 6.0], [1.0, 5.0, 4.0, 0.0], [0.0, -2.0, 0.0, 0.0]],
        [(1, -2.0, 3), (2, -2.0, 2), (0, -5.0, 2), (3, -5.0, 1)],
    ),
    (
        "ties by place, kept and ranked",
        [2],
        [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]],
        [(0, 2.0, 2), (1, 2.0, 2), (2, 1.0, 1)],
    ),
    ("as many documents as are kept", [2], [[1.0, 2.0], [4.0, 3.0]], [(0, 4.0, 2), (1, 3.0, 2)]),
]


@pytest.mark.parametrize(("_", "keeps", "logits", "expected"), TABLE, ids=[row[0] for row in TABLE])
def test_stages_merge_into_one_order(
    _: str, keeps: list[int], logits: list[list[float]], expected: list[tuple[int, float, int]]
) -> None:
    found = merge(_scored(keeps, logits), None)
    assert [(each.index, each.logit, each.stage) for each in found] == expected


@dataclass(frozen=True)
class Case:
    keeps: list[int]
    logits: list[list[float]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    documents = draw(st.integers(1, 25))
    keeps = sorted(draw(st.lists(st.integers(1, 30), min_size=1, max_size=3)), reverse=True)
    logit = st.floats(-1_000, 1_000) | st.integers(-3, 3).map(float)
    stage = st.lists(logit, min_size=documents, max_size=documents)
    return Case(keeps, draw(st.lists(stage, min_size=len(keeps) + 1, max_size=len(keeps) + 1)))


@given(cases())
def test_each_document_comes_once_with_later_stages_on_top(case: Case) -> None:
    scored = _scored(case.keeps, case.logits)
    found = merge(scored, None)
    assert sorted(each.index for each in found) == list(range(len(case.logits[0])))
    assert all(one.logit >= other.logit for one, other in pairwise(found))
    assert all((one.stage or 0) >= (other.stage or 0) for one, other in pairwise(found))
    last_of = {place: each.step.stage for each in scored for place in each.places}
    assert {each.index: each.stage for each in found} == last_of


@given(cases())
def test_inside_a_stage_order_and_differences_are_the_models(case: Case) -> None:
    found = merge(_scored(case.keeps, case.logits), None)
    for number in {each.stage for each in found}:
        own = case.logits[(number or 1) - 1]
        members = [each for each in found if each.stage == number]
        assert [each.index for each in members] == sorted((m.index for m in members), key=lambda i: (-own[i], i))
        first = members[0]
        for each in members:
            assert first.logit - each.logit == pytest.approx(own[first.index] - own[each.index], abs=1e-9)
            assert each.logit <= own[each.index] or each.logit == pytest.approx(own[each.index])


@given(cases(), st.integers(1, 40))
def test_top_n_is_the_beginning_of_the_whole(case: Case, top_n: int) -> None:
    scored = _scored(case.keeps, case.logits)
    assert merge(scored, top_n) == merge(scored, None)[:top_n]


def test_sums_are_of_all_stages() -> None:
    scored = _scored([2], [[1.0] * 5, [1.0] * 5])
    assert usage_of(scored) == Usage(tokens=49, documents=7, pairs=7)
    assert timings_of(scored) == Timings(2, 4, 6)


READY = ScorerState("ready", 2, "cpu", "bf16")


@pytest.mark.parametrize(
    ("others", "status", "reason"),
    [
        ([READY], "ready", None),
        ([READY, ScorerState("ready", 1, "cpu", "bf16")], "ready", None),
        ([READY, ScorerState("starting", 1)], "starting", None),
        ([ScorerState("starting", 1), ScorerState("idle")], "idle", None),
        ([READY, ScorerState("unavailable", 1, reason="no weights"), ScorerState("idle")], "unavailable", "no weights"),
    ],
)
def test_a_cascade_can_do_what_the_least_of_its_stages_can(
    others: list[ScorerState], status: ScorerStatus, reason: str | None
) -> None:
    state = state_of([READY, *others])
    assert (state.status, state.reason) == (status, reason)
    assert state.replicas == min(each.replicas for each in others)


def test_device_and_dtype_are_told_where_all_stages_have_the_same() -> None:
    assert state_of([READY, READY]) == READY
    assert state_of([READY, ScorerState("ready", 3, "cpu", "fp32")]) == ScorerState("ready", 2, "cpu", None)


def test_a_document_of_a_later_stage_is_told_by_its_place_in_the_request() -> None:
    error = placed(InputTooLong("document 1 has 900 tokens", "documents.1"), (4, 11))
    assert (error.message, error.param) == ("document 11 has 900 tokens", "documents.11")
    of_query = InputTooLong("the query has at least 509 tokens", "query")
    assert placed(of_query, (4, 11)) is of_query


def test_what_goes_on_is_in_the_order_of_the_request(catalog: Catalog) -> None:
    outcome = ScoreOutcome((1.0, 5.0, 3.0, 4.0), 4, 4, Timings(0, 0, 0))
    assert Scored(Step(catalog.variants["minilm-l6"], 2, 1), (2, 3, 5, 8), outcome).kept() == (3, 8)
