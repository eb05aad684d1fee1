import random

from training.questions import OFTEN, make_questions

QUERIES = [f"what causes {name}" for name in ("gout", "rain", "wind", "rust")] * 2 + ["how much does bread cost"]
COMMON = "people often read about water and about trees because they like them"


def _passages(subject: str) -> list[str]:
    return [f"{COMMON}. {subject} number {n}: {subject} hurts." for n in range(4)]


PASSAGES = [
    *_passages("swollen knee"),
    *_passages("broken pipe"),
    "a lonely zeppelin, a zeppelin",
    *(f"{COMMON}. nothing at all {n}" for n in range(200)),
]


def test_a_question_is_a_usual_beginning_and_a_subject_that_passages_share() -> None:
    assert len([query for query in QUERIES if query.startswith("what causes")]) >= OFTEN
    made = make_questions(QUERIES, PASSAGES, 2, random.Random(1))
    assert sorted(made) == ["what causes broken pipe", "what causes swollen knee"]


def test_more_questions_than_subjects() -> None:
    made = make_questions(QUERIES, PASSAGES, 9, random.Random(1))
    assert len(made) == 9
    assert set(made) == {"what causes broken pipe", "what causes swollen knee"}


def test_passages_without_a_subject() -> None:
    assert make_questions(QUERIES, ["a", "b"], 3, random.Random(1)) == []


def test_no_questions() -> None:
    assert make_questions([], [], 0, random.Random(1)) == []
