"""What is read from a Prometheus: a real one over samples of the past, and what only seems to be one."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from serve_app.cluster.rollout import Vitals
from serve_app.cluster.vitals import Prometheus, PrometheusError
from serve_app.metrics import ANSWER_MS
from tests.cluster.prometheus import Server, prometheus, write_blocks
from tests.running import free_port

EVERY_S = 15
SINCE = 20
"""Of forty samples: what came before is not counted."""
Samples = Sequence[float | None]
ANSWERED = '{route="%s",variant="%s",outcome="%s",WorkerId="%s"}'


def _rising(*stages: tuple[int, float | None]) -> list[float | None]:
    """So often each; None is no sample."""
    return [value for times, value in stages for _ in range(times)]


HISTORIES: dict[str, tuple[dict[str, Samples], int]] = {
    "that was there before": ({"a": _rising((20, 10), (20, 40))}, 30),
    "that begins within": ({"a": _rising((25, None), (15, 7))}, 7),
    "of a process that ends": ({"a": _rising((20, 5), (10, 20), (10, None)), "b": _rising((30, None), (10, 3))}, 18),
    "that begins anew": ({"a": _rising((20, 50), (10, 60), (10, 6))}, 6),
    "not scraped at the time": ({"a": _rising((17, 100), (6, None), (17, 104))}, 4),
    "that had ended": ({"a": _rising((10, 9), (30, None))}, 0),
    "of two routers": ({"a": _rising((20, 1), (20, 2)), "b": _rising((20, 3), (20, 5))}, 3),
}


LANES = {
    ("new.er", "ok"): 80,
    ("new.er", "engine_failure"): 12,
    ("new.er", "deadline_exceeded"): 8,
    ("new.er", "input_too_long"): 500,
    ("old", "ok"): 198,
    ("old", "scorer_lost"): 2,
    ("new-er", "ok"): 7_000,
}
BELOW = {"new.er": (0, 0, 0, 0, 40, 80), "old": (0, 0, 98, 99)}
"""Answers at or below each bound, of which the last is that of all others, too."""
ABORTED = '{route="%s",variant="new.er",limit="errors"}'


@pytest.fixture(scope="module")
def began() -> float:
    """When the first sample was taken, so that the last one is of now."""
    return time.time() - 39 * EVERY_S


@pytest.fixture(scope="module")
def server(began: float, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("prometheus")
    write_blocks(folder, "".join(_lines(began)) + "# EOF\n")
    with prometheus(folder, {}) as running:
        yield running


def _lines(began: float) -> Iterator[str]:
    for series, samples in _series():
        for number, value in enumerate(samples):
            if value is not None:
                yield f"{series} {value} {began + number * EVERY_S:.3f}\n"


def _series() -> Iterator[tuple[str, Samples]]:
    for name, (processes, _) in HISTORIES.items():
        for process, samples in processes.items():
            yield "ray_rerank_answers_total" + ANSWERED % (name, "new.er", "ok", process), samples
    for (variant, outcome), risen in LANES.items():
        labels = ANSWERED % ("search", variant, outcome, "a")
        yield f"ray_rerank_answers_total{labels}", _rising((20, 5), (20, 5 + risen))
    bounds = [*map(str, ANSWER_MS.boundaries), "+Inf"]
    for variant, below in BELOW.items():
        for bound, count in zip(bounds, [*below, *[below[-1]] * (len(bounds) - len(below))], strict=True):
            labels = f'{{route="search",variant="{variant}",le="{bound}"}}'
            yield f"ray_rerank_answer_milliseconds_bucket{labels}", _rising((20, 1_000), (20, 1_000 + count))
    pair = 'route="search",variant="new.er",other="old"'
    yield f"ray_rerank_agreement_same_way_total{{{pair}}}", _rising((20, 3), (20, 5.25))
    yield f"ray_rerank_agreement_same_way_total{{{pair.replace('new.er', 'new-er')}}}", _rising((25, None), (15, 70))
    yield f'ray_rerank_agreement_first_total{{{pair},same="yes"}}', _rising((20, 8), (20, 9))
    yield f'ray_rerank_agreement_first_total{{{pair},same="no"}}', _rising((20, 8), (20, 10))
    yield f"ray_rerank_canaries_aborted_total{ABORTED % 'aborted'}", _rising((25, None), (15, 1))
    yield f"ray_rerank_canaries_aborted_total{ABORTED % 'search'}", _rising((40, 1))


@pytest.mark.parametrize("history", HISTORIES)
def test_a_counter_is_counted_from_then_on(server: Server, began: float, history: str) -> None:
    since = began + (SINCE - 0.5) * EVERY_S
    assert Prometheus(server.url).vitals(history, "new.er", "old", 5.0, since).requests == HISTORIES[history][1]


def test_a_lane_has_its_vitals(server: Server, began: float) -> None:
    seen = Prometheus(server.url).vitals("search", "new.er", "old", 5.0, began + (SINCE - 0.5) * EVERY_S)
    expected = Vitals(
        percent=5.0,
        requests=100,
        failures=20,
        p50_ms=50.0,  # the bound below which half of them are
        p99_ms=50 + 25 * 39.2 / 40,
        baseline_error_rate=0.01,
        baseline_p50_ms=10 + 10 * 49.5 / 98,
        baseline_p99_ms=20 + 15 * 0.01,
        agreement=0.5,
    )
    assert asdict(seen) == pytest.approx(asdict(expected))


def test_a_canary_that_was_stopped_has_no_percent(server: Server, began: float) -> None:
    seen = Prometheus(server.url).vitals("aborted", "new.er", "old", 5.0, began + SINCE * EVERY_S)
    assert seen == Vitals(percent=0.0, aborted_because="the service took its weight: it broke the limit of errors")
    assert Prometheus(server.url).vitals("aborted", "new.er", "old", 5.0, time.time()).percent == 5.0


def test_what_nobody_knows_is_none(server: Server) -> None:
    assert Prometheus(server.url).vitals("nowhere", "new.er", "old", 5.0, time.time()) == Vitals(5.0)


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(PrometheusError, match=f"the Prometheus at http://{address} cannot be asked .*port-forward"):
        Prometheus(f"http://ann:secret@{address}").vitals("search", "new", "old", 5.0, 0.0)


@pytest.mark.parametrize("url", ["localhost:9090", "", "http://[", "http://127.0.0.1:99999"])
def test_what_is_no_url_is_said(url: str) -> None:
    with pytest.raises(PrometheusError, match="is the URL right"):
        Prometheus(url).vitals("search", "new", "old", 5.0, 0.0)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, "<html>a login</html>", "does not answer as Prometheus does"),
        (404, "404 page not found", "does not answer as Prometheus does"),
        (200, '{"status": "success", "data": {"result": [{"metric": {}}]}}', "does not answer as Prometheus does"),
        (422, '{"status": "error", "error": "too many samples"}', "refuses the question: too many samples"),
    ],
)
def test_an_answer_that_is_none_is_said(status: int, body: str, said: str) -> None:
    with _answering(status, body) as url, pytest.raises(PrometheusError, match=f"the Prometheus at {url} {said}"):
        Prometheus(url).vitals("search", "new", "old", 5.0, 0.0)


@contextmanager
def _answering(status: int, body: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
