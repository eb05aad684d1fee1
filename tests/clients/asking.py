"""What the tests ask through every client, what the answer has to be, and how to be refused with a given status."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from tests.clients.driver import Raised
from tests.clients.server import LIMITS, LONG_QUERY, PATIENCE_S, ServerAddress

MODEL = "minilm-l12"
MODEL_ID = "cross-encoder/ms-marco-MiniLM-L12-v2"
QUERY = "where does it flow"
DOCUMENTS = ("sea", "I", "river", "no")
"""The fake scorers' logit is the length; short ones, so that no two sigmoids are both 1.0."""
READABLE = {401: "API key", 403: "may not use", 404: "no-such-model", 422: "21 ", 429: "try again"}
"""What a client's exception must let its user read, by status."""

Scores = list[tuple[int, float]]


@dataclass(frozen=True)
class Expected:
    """The ranking of DOCUMENTS that `/v1/rerank` gives, best first."""

    scores: Scores
    logits: Scores
    usage: Mapping[str, int]
    search_units: int


def question(server: ServerAddress, **more: object) -> dict[str, Any]:
    """The arguments of an ordinary call."""
    return {"key": server.keys.valid, "query": QUERY, "documents": DOCUMENTS, **more}


def expected(server: ServerAddress) -> Expected:
    """The answer of our own dialect."""
    ranked, raw = (_ask(server, server.keys.valid, raw_scores=raw) for raw in (False, True))
    scores, logits = ([(r["index"], r["relevance_score"]) for r in reply["results"]] for reply in (ranked, raw))
    return Expected(scores, logits, ranked["usage"], ranked["meta"]["billed_units"]["search_units"])


def scores(results: Sequence[Mapping[str, Any]]) -> Scores:
    """Index and score of what a driver told; the index by the text where the client returns documents alone."""
    return [(r["index"] if "index" in r else DOCUMENTS.index(r["text"]), r["score"]) for r in results]


def texts(results: Sequence[Mapping[str, Any]]) -> list[str]:
    """The documents that the client returned."""
    return [result["text"] for result in results]


@contextmanager
def refused(server: ServerAddress, status: int) -> Iterator[dict[str, Any]]:
    """The arguments of a call that the service answers with this status, as long as the block lasts."""
    if status == 401:
        yield question(server, key=server.keys.wrong, model=MODEL)
    elif status == 403:
        yield question(server, key=server.keys.tiny, model=MODEL)
    elif status == 404:
        yield question(server, model="no-such-model")
    elif status == 422:
        yield question(server, documents=[f"{i}" for i in range(LIMITS.max_documents + 1)], model=MODEL)
    else:
        with busy(server):
            yield question(server, key=server.keys.narrow, model=MODEL)


@contextmanager
def busy(server: ServerAddress, until_refused: bool = False) -> Iterator[Callable[[], list[int]]]:
    """A request of the narrow key is at work while the block lasts, or until another one was refused for it.

    Gives the statuses of the requests that came beside it.
    """
    scorers, recorder = server.scorers, server.recorder
    scorers.at_work.clear()
    scorers.let_go.clear()
    recorder.on_refusal = scorers.let_go.set if until_refused else lambda: None
    thread = threading.Thread(target=_ask, args=(server, server.keys.narrow, LONG_QUERY))
    thread.start()
    try:
        assert scorers.at_work.wait(PATIENCE_S), "the request did not reach the scorers"
        before = len(recorder.seen)
        yield lambda: [seen.status for seen in recorder.seen[before:] if seen.body["query"] != LONG_QUERY]
    finally:
        scorers.let_go.set()
        thread.join(PATIENCE_S)


def is_readable(raised: Raised, status: int) -> bool:
    """Whether the exception's message tells what was wrong."""
    return READABLE[status] in raised.message


def _ask(server: ServerAddress, key: str, query: str = QUERY, raw_scores: bool = False) -> dict[str, Any]:
    body = {"query": query, "documents": DOCUMENTS, "model": MODEL, "raw_scores": raw_scores}
    reply = httpx.post(f"{server.url}/v1/rerank", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=30)
    reply.raise_for_status()
    answer: dict[str, Any] = reply.json()
    return answer
