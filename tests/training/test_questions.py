import random

import pytest

from training import questions
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


@pytest.fixture(autouse=True)
def _one_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "SUBJECTS", 1)
    monkeypatch.setattr(questions, "BOTH", 0.0)


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


def test_some_questions_are_about_two_subjects_of_a_passage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "SUBJECTS", 2)
    monkeypatch.setattr(questions, "BOTH", 0.5)
    passages = [f"{each} in a copper kettle, a copper kettle" for each in PASSAGES[:4]] + PASSAGES[8:]
    made = make_questions(QUERIES, passages, 400, random.Random(1))
    subjects = [question.removeprefix("what causes ") for question in made]
    assert {"swollen knee", "copper kettle"} <= set(subjects)
    both = [subject for subject in subjects if "swollen knee" in subject and "copper kettle" in subject]
    assert len(both) / len(made) == pytest.approx(0.5, abs=0.1)
    assert "swollen knee of copper kettle" in both
