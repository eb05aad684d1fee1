"""Mixed traffic for a ledger: questions in five dialects, each with what it costs, and requests that are refused.

What a question costs is reckoned here from the texts, by the stock tokenizer and the catalog's price.
"""

import json
import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from transformers import BertTokenizer

from serve_app.catalog import Catalog, Variant
from serve_app.router.charge import Charge
from tests.checkpoints import WORDS
from tests.connections import Answer, Ask

READ_AT_ONCE = 512
SPECIAL_TOKENS = 3
REFUSED_SHARE = 0.1
SHORT_QUESTIONS = 6
"""Of every model in every dialect."""
MOST_OF_LONG = 1_100
_WRONG_KEY = f"rr_{'0' * 12}_{'A' * 43}"

Body = dict[str, Any]
_DIALECTS: Mapping[str, Callable[[str, Sequence[str]], Body]] = {
    "/v1/rerank": lambda query, documents: {"query": query, "documents": documents},
    "/v2/rerank": lambda query, documents: {"query": query, "documents": documents},
    "/tei/rerank": lambda query, documents: {"query": query, "texts": documents},
    "/v1/ranking": lambda query, documents: {"query": {"text": query}, "passages": [{"text": d} for d in documents]},
    "/v1/score": lambda query, documents: {"text_1": query, "text_2": documents},
}
_REFUSED: tuple[tuple[int, str, Body], ...] = (
    (422, "/v1/rerank", {"query": "sea", "documents": []}),
    (422, "/v2/rerank", {"documents": ["sea"]}),
    (422, "/tei/rerank", {"query": "sea", "texts": "sea"}),
    (422, "/v1/ranking", {"query": {"text": " "}, "passages": [{"text": "sea"}]}),
    (422, "/v1/score", {"text_1": ["sea", "bread"], "text_2": ["sea", "bread", "music"]}),
    (422, "/v1/rerank", {"query": "sea", "documents": ["sea", "river " * 1_200], "truncate": False}),
    (404, "/v1/rerank", {"query": "sea", "documents": ["sea"], "model": "nobody-has-trained-it"}),
    (404, "/v1/ranked", {"query": "sea", "documents": ["sea"]}),
)
"""By the router, but for the long text that must not be cut: that one the scorer refuses."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the traffic, and the models that it may use."""

    id: str
    text: str
    models: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """One request that can be answered."""

    path: str
    body: bytes
    model: Variant
    charge: Charge


@dataclass(frozen=True, slots=True)
class Expected:
    """What an answer should be; of a question of a key, when it is to be counted."""

    status: int
    key: str = ""
    question: Question | None = None


def questions(catalog: Catalog, folders: Mapping[str, Path]) -> list[Question]:
    """Of the models whose files lie in these folders."""
    rng = random.Random(3)
    found = []
    for name, folder in folders.items():
        stock, variant = BertTokenizer.from_pretrained(folder), catalog.variants[name]
        for path, body in _DIALECTS.items():
            for _ in range(SHORT_QUESTIONS):
                texts = _words(rng), [_words(rng) for _ in range(rng.randint(1, 5))]
                found.append(_question(path, body(*texts), variant, _charge(stock, variant, *texts)))
        texts = _words(rng), ["sea"] * 101
        found.append(_question("/v1/rerank", _DIALECTS["/v1/rerank"](*texts), variant, _charge(stock, variant, *texts)))
        texts = _words(rng), ["river " * 1_200, "sea"]
        in_chunks = {**_DIALECTS["/v2/rerank"](*texts), "max_tokens_per_doc": MOST_OF_LONG}
        found.append(_question("/v2/rerank", in_chunks, variant, _charge(stock, variant, *texts)))
    return found


def mixed(menu: Sequence[Question], keys: Sequence[Key], number: int) -> Iterator[Ask]:
    """So many requests, in an order that is the same every time."""
    rng = random.Random(number)
    for _ in range(number):
        key, question = rng.choice(keys), rng.choice(menu)
        if rng.random() >= REFUSED_SHARE:
            expected = Expected(200, key.id, question) if question.model.name in key.models else Expected(403)
            yield Ask(question.path, question.body, key.text, expected)
        elif rng.random() < 0.2:
            yield Ask(question.path, question.body, rng.choice((None, _WRONG_KEY)), Expected(401))
        else:
            status, path, body = rng.choice(_REFUSED)
            yield Ask(path, json.dumps(body).encode(), key.text, Expected(status))


def counted(answers: Iterable[Answer]) -> dict[tuple[str, str], Charge]:
    """What the ledger should hold, by the ids of key and model; fails for an answer that is not the expected one."""
    totals: defaultdict[tuple[str, str], Charge] = defaultdict(Charge)
    for answer in answers:
        expected: Expected = answer.ask.note
        assert answer.status == expected.status, answer
        if (question := expected.question) is not None:
            assert _tokens_told(answer.body) in (None, question.charge.tokens), answer
            totals[expected.key, question.model.id] += question.charge
    return dict(totals)


def _question(path: str, body: Body, variant: Variant, charge: Charge) -> Question:
    return Question(path, json.dumps({**body, "model": variant.name}).encode(), variant, charge)


def _words(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(1, 6)))


def _charge(stock: BertTokenizer, variant: Variant, query: str, documents: Sequence[str]) -> Charge:
    beside_document = len(stock.tokenize(query)) + SPECIAL_TOKENS
    lengths = [min(MOST_OF_LONG, len(stock.tokenize(document))) for document in documents]
    chunks = [math.ceil(length / (READ_AT_ONCE - beside_document)) for length in lengths]
    pairs = sum(chunks)
    return Charge(
        requests=1,
        documents=len(documents),
        pairs=pairs,
        tokens=sum(lengths) + pairs * beside_document,
        search_units=math.ceil(pairs / 100),
        nano_usd=int(pairs * Decimal(str(variant.price_per_1k_docs)) * 1_000_000),
    )


def _tokens_told(body: bytes) -> int | None:
    """None where the dialect tells none."""
    reply = json.loads(body)
    if isinstance(reply, list):
        return None
    told: int = (reply["usage"] if "usage" in reply else reply["meta"]["billed_units"])["total_tokens"]
    return told
