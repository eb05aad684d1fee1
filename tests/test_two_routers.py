"""Two routers, one Redis, one account of it all: limits, totals, a router that is killed, a clean stop.

Real Ray, real HTTP, a real Redis. By hand, with progress: `pytest -s -m "slow or not slow" tests/test_two_routers.py`.
"""

import asyncio
import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from serve_app.catalog import Catalog
from serve_app.key_file import KeyTerms, Scope, add_key
from serve_app.router.charge import Charge
from tests.conftest import ROOT
from tests.connections import Answer, Ask, tell, watched
from tests.fleet import AROUND_S, FLUSH_EVERY_S, ROUTERS, Fleet, fleet, kept, router_of, stop
from tests.mixed_traffic import Key, counted, mixed, questions

pytestmark = pytest.mark.slow
CONNECTIONS = 16
ALLOWED = 0.02
"""How far from a limit what was let in may be."""
WINDOW_S = 60.0
REPLACED_WITHIN_S = 60.0
ROUTED_AROUND_WITHIN_S = 2.0
MODELS = ("rerank-tiny", "minilm-l6")
Keys = Mapping[str, Key]


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Keys]:
    """A file of keys, and the keys by their names."""
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    terms = [
        KeyTerms(name="admin", scopes=(Scope.ADMIN,)),
        KeyTerms(name="burst-requests", requests_per_minute=400),
        KeyTerms(name="burst-documents", documents_per_minute=2_000),
        KeyTerms(name="steady-requests", requests_per_minute=900),
        KeyTerms(name="steady-documents", documents_per_minute=4_500),
        *(KeyTerms(name=f"{number}-{letter}") for number in (600, 10_000) for letter in "ab"),
        *(KeyTerms(name=f"{number}-tiny", models=MODELS[:1]) for number in (600, 10_000)),
        *(KeyTerms(name=name) for name in ("before", "after", "SIGINT", "SIGTERM")),
    ]
    issued = [add_key(path, each, datetime.now(UTC)) for each in terms]
    return path, {i.record.name: Key(i.record.id, i.text, i.record.models or MODELS) for i in issued}


@pytest.fixture(scope="module")
def keys(key_file: tuple[Path, Keys]) -> Keys:
    return key_file[1]


@pytest.fixture(scope="module")
def folders(small_models: Path, catalog: Catalog) -> Mapping[str, Path]:
    """Where the files of the models are."""
    tiny, small = (catalog.variants[name] for name in MODELS)
    return {tiny.name: ROOT / "serve_app" / "bundled" / tiny.folder, small.name: small_models / small.folder}


@pytest.fixture(scope="module")
def arguments(key_file: tuple[Path, Keys], small_models: Path, redis_url: str) -> Mapping[str, Any]:
    return {
        "variants": MODELS,
        "models_dir": str(small_models),
        "keys": str(key_file[0]),
        "redis_url": redis_url,
        "usage": {"flush_every_s": FLUSH_EVERY_S},
    }


@pytest.fixture(scope="module")
def two_routers(arguments: Mapping[str, Any]) -> Iterator[Fleet]:
    with fleet(arguments) as running:
        yield running


def _ask(key: Key, documents: int) -> Ask:
    body = json.dumps({"query": "sea", "documents": ["a house"] * documents})
    return Ask("/v1/rerank", body.encode(), key.text, documents)


def _total(used: Mapping[tuple[str, str], Charge], key: Key) -> Charge:
    return sum((charge for (identity, _), charge in used.items() if identity == key.id), Charge())


def _endless(key: Callable[[], Key], ended: threading.Event) -> Iterator[Ask]:
    while not ended.is_set():
        yield _ask(key(), 2)


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_a_clean_stop_in_the_middle_of_traffic_loses_nothing(
    arguments: Mapping[str, Any], keys: Keys, redis_url: str, by: signal.Signals
) -> None:
    """No flush but the one at the end; and no other fleet runs yet."""
    key, stopping, ended = keys[by.name], threading.Event(), threading.Event()

    def asks() -> Iterator[Ask]:
        for ask in _endless(lambda: key, ended):
            time.sleep(0.05 if stopping.is_set() else 0)  # what is refused is refused at once
            yield ask

    with fleet({**arguments, "usage": {"flush_every_s": 3_600.0}}) as running, ThreadPoolExecutor(1) as thread:
        try:
            driving = thread.submit(running.drive, asks(), CONNECTIONS)
            time.sleep(3)
            stopping.set()
            stop(running.process, by)
        finally:
            ended.set()
        served = [answer for answer in driving.result() if answer.served]
    found = asyncio.run(kept(redis_url, key.id))
    tell(f"{by.name}: answered {len(served)}, in the ledger {found.requests}")
    assert len(served) > CONNECTIONS
    assert (found.requests, found.documents) == (len(served), 2 * len(served))
    assert running.process.returncode == 0


@pytest.mark.parametrize("number", [600, 10_000])
def test_the_ledger_of_two_routers_is_what_the_client_counted(
    two_routers: Fleet, keys: Keys, catalog: Catalog, folders: Mapping[str, Path], number: int
) -> None:
    callers = [keys[f"{number}-{name}"] for name in ("a", "b", "tiny")]
    began = time.monotonic()
    answers = two_routers.drive(watched(mixed(questions(catalog, folders), callers, number)), CONNECTIONS)
    took_s = time.monotonic() - began
    expected, own = counted(answers), {key.id for key in callers}
    used = two_routers.used(keys["admin"].text)
    each = two_routers.of_each_router(answers)
    tell(f"{len(answers)} requests in {took_s:.0f} s, {Counter(a.status for a in answers)}, of each router {each}")
    tell(f"counted {sum(expected.values(), Charge())}")
    assert len(answers) == number
    assert {account: charge for account, charge in used.items() if account[0] in own} == expected
    assert min(each) > sum(each) / (2 * ROUTERS)


def _let_in(running: Fleet, answers: Sequence[Answer], key: Key) -> tuple[list[Answer], int]:
    """The answers of a key that were served, and their documents; all others were refused by a limit."""
    own = [answer for answer in answers if answer.ask.key == key.text]
    assert {answer.status for answer in own} == {200, 429}
    served = [answer for answer in own if answer.served]
    each = running.of_each_router(served)
    assert min(each) > sum(each) / (2 * ROUTERS), each
    return served, sum(answer.ask.note for answer in served)


def test_two_routers_enforce_limits_of_a_minute_between_them(two_routers: Fleet, keys: Keys) -> None:
    rng = random.Random(5)
    by_requests, by_documents = keys["burst-requests"], keys["burst-documents"]
    asks = [ask for _ in range(800) for ask in (_ask(by_requests, 1), _ask(by_documents, rng.randint(1, 9)))]
    answers = two_routers.drive(asks, CONNECTIONS)
    took_s = max(a.ended for a in answers) - min(a.began for a in answers)
    requests, documents = _let_in(two_routers, answers, by_requests)[1], _let_in(two_routers, answers, by_documents)[1]
    tell(f"in {took_s:.0f} s: {requests} requests of 400, {documents} documents of 2000")
    assert took_s < WINDOW_S, "too slow to tell"
    assert requests == pytest.approx(400, rel=ALLOWED)
    assert documents == pytest.approx(2_000, rel=ALLOWED)
    assert _total(two_routers.used(keys["admin"].text), by_documents).documents == documents


def test_limits_of_a_minute_hold_when_the_minute_is_over(two_routers: Fleet, keys: Keys) -> None:
    """What was used up comes back at the limit's rate."""
    rng = random.Random(6)
    by_requests, by_documents = keys["steady-requests"], keys["steady-documents"]

    def asks() -> Iterator[Ask]:
        until = time.monotonic() + 80
        while time.monotonic() < until:
            yield _ask(by_requests, 1)
            yield _ask(by_documents, rng.randint(1, 9))
            time.sleep(0.04)

    answers = two_routers.drive(watched(asks()), CONNECTIONS)
    for key, limit in ((by_requests, 900), (by_documents, 4_500)):
        served, units = _let_in(two_routers, answers, key)
        took_s = max(a.ended for a in answers) - min(a.began for a in served)
        expected = limit * took_s / WINDOW_S
        tell(f"in {took_s:.1f} s {units} of {expected:.0f}, {units / expected - 1:+.2%}")
        assert units == pytest.approx(expected, rel=ALLOWED)


def _name(router: psutil.Process) -> str:
    """The router's name in the logs, one of which it writes."""
    (log,) = [file.path for file in router.open_files() if "replica_rerank_router_" in file.path]
    return router_of(Path(log))


def _kill_one(running: Fleet) -> tuple[str, float]:
    """The name of the router that was killed, and when; returns once another one answers in its place."""
    victim = running.replicas("router")[0]
    name, known = _name(victim), set(running.answered())
    victim.kill()
    killed = time.time()
    while not {other for other, ids in running.answered().items() if ids} - known:
        assert time.time() - killed < REPLACED_WITHIN_S
        time.sleep(0.5)
    return name, killed


def test_a_router_that_is_killed_takes_at_most_one_flush_interval_along(two_routers: Fleet, keys: Keys) -> None:
    before, after = keys["before"], keys["after"]
    current, ended = [before], threading.Event()
    with ThreadPoolExecutor(1) as thread:
        try:
            driving = thread.submit(two_routers.drive, watched(_endless(lambda: current[0], ended)), CONNECTIONS)
            time.sleep(5)
            name, killed = _kill_one(two_routers)
            current[0] = after
            time.sleep(2)
        finally:
            ended.set()
        answers = driving.result()
    used, logged = two_routers.used(keys["admin"].text), two_routers.answered()[name]
    failed = [answer for answer in answers if not answer.served]
    in_flight = [answer for answer in answers if answer.began < killed < answer.ended]
    own = [answer for answer in answers if answer.served and answer.id in logged]
    last = [answer for answer in own if answer.ended > killed - FLUSH_EVERY_S - AROUND_S]
    served = Counter(answer.ask.key for answer in answers if answer.served)
    lost = served[before.text] - _total(used, before).requests
    tell(
        f"answered {served[before.text]}, not in the ledger {lost}; the router's own: {len(own)}, of which in its "
        f"last {FLUSH_EVERY_S + AROUND_S} s {len(last)}; in flight {len(in_flight)}, failed {len(failed)}"
    )
    assert len(own) > 2 * len(last), "a bound that says something"
    assert -len(in_flight) <= lost <= len(last)
    assert max((answer.began for answer in failed), default=killed) < killed + ROUTED_AROUND_WITHIN_S
    assert _total(used, after).requests == served[after.text] > 0
