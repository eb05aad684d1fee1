"""Questions that nobody asked: the beginning of a real query before a subject of the passages.

The passages answer few of the real queries (of those that BM25 finds for them, the teacher likes one in thirty), and a
query made of a passage's own words is answered by whoever repeats them. "what causes" before a disease, and "how much
does" before the same, have other answers among the same passages, and no words to tell them by. Where two subjects are
asked about, many passages speak of one of them only.
"""

import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence, Set

LONGEST_BEGINNING = 5
"""Words."""
OFTEN = 8
"""So many real queries have to begin with it."""
SUBJECT_WORDS = 3
"""At most; of two as telling, the longer is taken."""
PASSAGES_OF_A_SUBJECT = (3, 60)
"""A subject is in so many passages: fewer, and nothing else could answer; more, and it says little."""
SUBJECTS = 2
"""Of a passage."""
BOTH = 0.4
"""Of the questions about a passage with two subjects, so many are about both."""
JOINTS = (" ", " and ", " of ", " in ", " for ", " with ")
"""What stands between two subjects."""

COMMONEST = 0.04
"""No word of a subject is in a larger part of the passages."""

_WORD = re.compile(r"[a-z][a-z'-]+")


def make_questions(queries: Sequence[str], passages: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """So many questions, each about what another passage speaks of as long as there are any; without subjects, none."""
    beginnings = list(_beginnings(queries))
    subjects = list(dict.fromkeys(_subjects(passages)))
    if not beginnings or not subjects:
        return []
    chosen = rng.choices(subjects, k=count) if count > len(subjects) else rng.sample(subjects, count)
    return [f"{rng.choice(beginnings)} {_about(each, rng)}" for each in chosen]


def _about(subjects: Sequence[str], rng: random.Random) -> str:
    if len(subjects) == SUBJECTS and rng.random() < BOTH:
        return rng.choice(JOINTS).join(rng.sample(subjects, SUBJECTS))
    return rng.choice(subjects)


def _beginnings(queries: Sequence[str]) -> Iterator[str]:
    """For each query the longest beginning that it shares with enough others, so that usual ones are usual here."""
    parted = [query.lower().split() for query in queries]
    shared = Counter(" ".join(words[:n]) for words in parted for n in range(1, LONGEST_BEGINNING + 1) if n < len(words))
    for words in parted:
        for n in range(min(LONGEST_BEGINNING, len(words) - 1), 0, -1):
            if shared[beginning := " ".join(words[:n])] >= OFTEN:
                yield beginning
                break


def _subjects(passages: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Of each passage, the phrases that it repeats most, the rarer and the longer the better, without common words."""
    texts = [_WORD.findall(passage.lower()) for passage in passages]
    known_in = Counter(word for words in texts for word in set(words))
    rare = {word for word, count in known_in.items() if count <= COMMONEST * len(passages)}
    found = [_phrases(words, rare) for words in texts]
    spread = Counter(phrase for phrases in found for phrase in phrases)
    fewest, most = PASSAGES_OF_A_SUBJECT
    for phrases in found:
        known = {phrase: times for phrase, times in phrases.items() if fewest <= spread[phrase] <= most}
        order = sorted(known, key=lambda phrase: (known[phrase] * (1 + phrase.count(" ")), -spread[phrase], phrase))
        if chosen := _apart(reversed(order)):
            yield chosen


def _apart(phrases: Iterable[str]) -> tuple[str, ...]:
    """The first ones that have no word in common."""
    chosen: list[str] = []
    for phrase in phrases:
        if len(chosen) < SUBJECTS and not set(phrase.split()) & set(" ".join(chosen).split()):
            chosen.append(phrase)
    return tuple(chosen)


def _phrases(words: Sequence[str], rare: Set[str]) -> Counter[str]:
    """Runs of one to three rare words of four letters or more, with how often they occur."""
    runs = (words[start : start + n] for n in range(1, SUBJECT_WORDS + 1) for start in range(len(words) - n + 1))
    return Counter(" ".join(run) for run in runs if all(len(word) >= 4 and word in rare for word in run))
