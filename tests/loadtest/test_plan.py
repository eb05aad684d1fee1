import json
import statistics
from collections import Counter
from typing import Any

import pytest

from loadtest.plan import BODIES, Plan, make_plan
from loadtest.questions import Question, make_up_questions
from loadtest.scenario import Scenario

MADE_UP = make_up_questions()


def plan(documents: Any, requests: int = 4_000, first: int = 0, **workload: Any) -> Plan:
    scenario = Scenario.model_validate(
        {
            "name": "mine",
            "arrivals": {"pattern": "constant", "rate": 100},
            "workload": {"documents": documents, **workload},
            "seconds": requests / 100,
            "slo_ms": 1,
        }
    )
    return make_plan(scenario, MADE_UP, written, first)


def written(question: Question) -> bytes:
    return json.dumps([question.query, *question.documents]).encode()


def sizes(made: Plan) -> list[int]:
    return [made.bodies[ask.body].documents for ask in made.asks]


def contents(made: Plan) -> list[bytes]:
    return [made.bodies[ask.body].stamped(ask.stamp) for ask in made.asks]


def test_a_body_has_as_many_documents_as_it_says() -> None:
    made = plan({"median": 20, "p95": 60})
    assert all(len(json.loads(body.content)) == 1 + body.documents for body in made.bodies)
    assert len(made.bodies) <= 2 * BODIES


def test_portions_are_those_that_were_wanted() -> None:
    found = Counter(sizes(plan([{"documents": 3, "share": 19}, {"documents": 200, "share": 1}])))
    assert set(found) == {3, 200}
    assert found[200] == pytest.approx(200, abs=4 * 14)


def test_a_spread_has_its_median_and_its_95th_percentile() -> None:
    found = sorted(sizes(plan({"median": 50, "p95": 200})))
    assert statistics.median(found) == pytest.approx(50, rel=0.1)
    assert found[int(0.95 * len(found))] == pytest.approx(200, rel=0.2)


def test_a_spread_of_nothing_is_one_size() -> None:
    assert set(sizes(plan({"median": 7, "p95": 7}))) == {7}


def test_no_text_comes_twice_and_the_next_run_has_others() -> None:
    first, second = (contents(plan(2, requests=300, first=first)) for first in (999_900, 5_000))
    texts = [text for content in (*first, *second) for text in json.loads(content)]
    assert len(texts) == len(set(texts)) == 2 * 300 * 3


def test_repeated_queries_are_identical_requests_and_as_frequent_as_zipf_says() -> None:
    made = plan([{"documents": 2, "share": 1}, {"documents": 3, "share": 1}], repeats={"exponent": 1.0, "queries": 500})
    times = Counter(contents(made))
    asked = Counter(json.loads(content)[0] for content in contents(made))
    assert sorted(times.values()) == sorted(asked.values()), "the same query has the same documents"
    assert len(times) <= 500
    harmonic = sum(1 / rank for rank in range(1, 501))
    for rank, (_, found) in enumerate(times.most_common(3), 1):
        expected = 4_000 / rank / harmonic
        assert found == pytest.approx(expected, abs=4 * expected**0.5)


def test_words_make_passages_longer() -> None:
    short, long = (make_up_questions(words)[0].documents for words in (20, 200))
    assert statistics.median(len(text.split()) for text in short) == pytest.approx(20, rel=0.15)
    assert statistics.median(len(text.split()) for text in long) == pytest.approx(200, rel=0.15)


def test_a_trace_says_how_many_documents(tmp_path: Any) -> None:
    (tmp_path / "trace.csv").write_text("0,4\n1.5\n2.25,9\n")
    told = {"name": "mine", "arrivals": {"pattern": "replay", "trace": "trace.csv"}, "slo_ms": 1}
    scenario = Scenario.model_validate({**told, "workload": {"documents": 5}}, context={"folder": tmp_path})
    made = make_plan(scenario, MADE_UP, written, 0)
    assert sizes(made) == [4, 5, 9]
    assert made.seconds == 2.25


def test_a_plan_without_requests_is_refused() -> None:
    with pytest.raises(ValueError, match="no request of mine is due: give it a higher rate or more seconds"):
        make_plan(
            Scenario.model_validate(
                {
                    "name": "mine",
                    "arrivals": {"pattern": "poisson", "rate": 0.001},
                    "workload": {"documents": 1},
                    "seconds": 1,
                    "slo_ms": 1,
                }
            ),
            MADE_UP,
            written,
            0,
        )
