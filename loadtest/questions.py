"""What is asked: queries with their documents, read from a run or made up, brought to any number of documents."""

import gzip
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

MADE_UP = 50
"""Questions that are made up, with a hundred documents each."""
MEDIAN_WORDS = 77.0
"""Of documents that are made up, as the tokens of passages in TREC DL 2019."""
WORDS = (
    "about after again air animal answer area away back body book boy built call carry change children city close "
    "country cover day different door earth east example eye face family far feet field fire fish food form friend "
    "garden girl government great green ground group hand hard head heart history horse house idea island king land "
    "large learn letter life light line list low man map measure milk money moon morning mother mountain music name "
    "night north number office old order page paper part people picture place plant point power question rain river "
    "road rock room school science sea second ship side sleep snow song south space stand star state stone story "
    "street summer sun table time town travel tree war water week west white wind winter woman wood word work world"
)


STAMP = " 000000"
"""Ends every document that is sent, and is another number each time: a service that keeps the tokens of documents that
it has seen would otherwise be measured without its tokenizer."""


@dataclass(frozen=True, slots=True)
class Question:
    """A query and the documents to rank for it."""

    query: str
    documents: Sequence[str]


def read_questions(path: Path, limit: int) -> list[Question]:
    """The first `limit` lines {query, candidates: [{text}]} of a run, gzipped or not."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in islice(lines, limit)]
    return [Question(each["query"], [candidate["text"] for candidate in each["candidates"]]) for each in found]


def make_up_questions(median_words: float = MEDIAN_WORDS) -> list[Question]:
    """The same ones every time, out of common words; a twentieth of the documents has twice the median and more."""
    longer = median_words / MEDIAN_WORDS
    rng = random.Random(0)
    known = WORDS.split()

    def text(words: float) -> str:
        return " ".join(rng.choices(known, k=max(1, round(words))))

    return [
        Question(text(5), [text(longer * rng.lognormvariate(4.34, 0.42)) for _ in range(100)]) for _ in range(MADE_UP)
    ]


def questions_from(run: Path | None, median_words: float = MEDIAN_WORDS) -> list[Question]:
    """Those of a run, or made up ones without it."""
    if run is None:
        return make_up_questions(median_words)
    questions = read_questions(run, 200)
    return questions or sys.exit(f"error: the run {run} is empty")


def sized(questions: Sequence[Question], documents: int) -> list[Question]:
    """A question a query with exactly so many documents: its own, then those of the queries after it."""
    available = sum(len(question.documents) for question in questions)
    if available < documents:
        sys.exit(f"error: a request of {documents:,} documents is wanted, and the run has {available:,}")
    brought = []
    for place, question in enumerate(questions):
        others = (document for other in cycle(_turned(questions, place)) for document in other.documents)
        brought.append(Question(question.query, list(islice(others, documents))))
    return brought


def write_run(questions: Sequence[Question], path: Path) -> None:
    """As a run that `rerank bench` reads, each document as long as it is when it is sent."""
    with path.open("w", encoding="utf-8") as lines:
        for qid, question in enumerate(questions):
            texts = (text + STAMP for text in question.documents)
            candidates = [{"docid": str(place), "text": text} for place, text in enumerate(texts)]
            lines.write(json.dumps({"qid": str(qid), "query": question.query, "candidates": candidates}) + "\n")


def _turned(questions: Sequence[Question], first: int) -> Sequence[Question]:
    return [*questions[first:], *questions[:first]]
