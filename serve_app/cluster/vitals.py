"""What a canary and its baseline did, as a Prometheus server knows it.

A route, two of its lanes and a moment come in, a rollout's Vitals go out. It knows neither Kubernetes nor who decides.
Figures are some 25 s old: a router tells Ray every 10 s (Ray 2.60), and Prometheus asks every 15 s. So what happened
just before the moment counts as after it.
"""

import json
import math
import re
import time
from collections.abc import Iterator, Mapping

import httpx
from pydantic import BaseModel, ValidationError

from serve_app.cluster.rollout import Vitals
from serve_app.errors import SERVER_FAULT, RerankError
from serve_app.metrics import AGREEMENT_FIRST, AGREEMENT_SAME_WAY, ANSWER_MS, ANSWERS, CANARIES_ABORTED

ANSWER_WITHIN_S = 20.0
OK = "ok"
_BEFORE = "5m"
"""How far back a counter's last value is looked for: as far as Prometheus itself looks, which finds none where a scrape
has failed since."""
_MARGIN_S = 60.0
"""Longer than anybody's scrape interval, so that a look right after the change finds a value."""
_QUANTILES = (0.5, 0.99)
_Labels = Mapping[str, tuple[str, ...]]
"""What a series has, by label: any of these."""


class PrometheusError(RerankError):
    """The server cannot be asked, or does not answer as Prometheus does."""


class _Sample(BaseModel):
    metric: dict[str, str]
    value: tuple[float, float]
    """When, and what."""


class _Data(BaseModel):
    result: list[_Sample]


class _Answer(BaseModel):
    """Of `/api/v1/query`: https://prometheus.io/docs/prometheus/latest/querying/api/."""

    status: str
    error: str = ""
    data: _Data | None = None


class Prometheus:
    """A server at `url`, which may hold a user and a password, and a path before `/api`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def vitals(self, route: str, canary: str, baseline: str, percent: float, since: float) -> Vitals:
        """What they did since then (Unix seconds); a canary that the service's guard has stopped has 0 percent.

        Raises PrometheusError.
        """
        lanes = {"route": (route,), "variant": (canary, baseline)}
        compared = {"route": (route,), "variant": (canary,), "other": (baseline,)}
        try:
            with httpx.Client(base_url=self._url, timeout=ANSWER_WITHIN_S) as http:
                ask = _Asking(http, since)
                answers = ask.counts(ANSWERS.name, lanes, "variant", "outcome")
                slow = {share: ask.quantiles(share, ANSWER_MS.name, lanes) for share in _QUANTILES}
                same_way = ask.counts(AGREEMENT_SAME_WAY.name, compared).get((), 0.0)
                orders = ask.counts(AGREEMENT_FIRST.name, compared).get((), 0.0)
                aborted = ask.counts(CANARIES_ABORTED.name, {"route": (route,), "variant": (canary,)}, "limit")
        except (httpx.HTTPError, httpx.InvalidURL, ValidationError, _RefusedError) as error:
            raise PrometheusError(f"{self._shown} {_trouble(error)}") from None
        requests, failures = _totals(answers, canary)
        others, their_failures = _totals(answers, baseline)
        because = _because(aborted)
        return Vitals(
            percent=percent if because is None else 0.0,
            requests=requests,
            failures=failures,
            p50_ms=slow[0.5].get(canary),
            p99_ms=slow[0.99].get(canary),
            baseline_error_rate=their_failures / others if others else 0.0,
            baseline_p50_ms=slow[0.5].get(baseline),
            baseline_p99_ms=slow[0.99].get(baseline),
            agreement=2 * same_way / orders - 1 if orders else None,
            aborted_because=because,
        )

    @property
    def _shown(self) -> str:
        """The URL without what is secret in it."""
        scheme, _, rest = self._url.rpartition("//")
        return f"the Prometheus at {scheme}{'//' if scheme else ''}{rest.rpartition('@')[2]}"


class _RefusedError(Exception):
    """What Prometheus said instead of an answer."""


class _Asking:
    """One look at everything since a moment."""

    def __init__(self, http: httpx.Client, since: float) -> None:
        self._http = http
        self._since = since
        self._window_s = math.ceil(max(0.0, time.time() - since) + _MARGIN_S)

    def counts(self, metric: str, labels: _Labels, *by: str) -> dict[tuple[str, ...], float]:
        """By how much a counter has risen, by the values of these labels."""
        found = self._query(f"sum by ({', '.join(by)}) ({self._risen(metric, labels)})")
        return {tuple(sample.metric.get(label, "") for label in by): sample.value[1] for sample in found}

    def quantiles(self, share: float, metric: str, labels: _Labels) -> dict[str, float]:
        """A quantile of a histogram, by variant; those of which nothing was measured are missing."""
        buckets = f"sum by (le, variant) ({self._risen(f'{metric}_bucket', labels)})"
        found = self._query(f"histogram_quantile({share:g}, {buckets})")
        return {each.metric.get("variant", ""): each.value[1] for each in found if math.isfinite(each.value[1])}

    def _risen(self, metric: str, labels: _Labels) -> str:
        """`increase` will not do: it sees no first event, with which a series comes, and guesses parts of events.

        A series that was not there before counts as a whole, and so does one that began anew. It is looked for over
        the whole time, since that of a process that has ended may be gone by now; each process has its own.
        """
        patterns = {label: "|".join(map(re.escape, values)) for label, values in labels.items()}
        matched = ", ".join(f"{label}=~{json.dumps(pattern)}" for label, pattern in patterns.items())
        series = f"ray_{metric}{{{matched}}}"
        now = f"last_over_time({series}[{self._window_s}s])"
        return f"({now} - last_over_time({series}[{_BEFORE}] @ {self._since:.3f}) >= 0 or {now})"

    def _query(self, expression: str) -> list[_Sample]:
        reply = self._http.get("api/v1/query", params={"query": expression})
        answer = _Answer.model_validate_json(reply.content)
        if answer.data is None:
            raise _RefusedError(answer.error or f"status {answer.status}")
        return answer.data.result


def _totals(answers: dict[tuple[str, ...], float], variant: str) -> tuple[int, int]:
    """Requests and failures of a lane, as the guard counts them: what is a request's own fault is neither."""
    failures = sum(count for (name, outcome), count in answers.items() if name == variant and outcome in _FAULTS)
    return round(answers.get((variant, OK), 0.0) + failures), round(failures)


def _because(aborted: dict[tuple[str, ...], float]) -> str | None:
    broken = sorted(limit for (limit,), times in aborted.items() if times > 0)
    return f"the service took its weight: it broke the limit of {' and '.join(broken)}" if broken else None


def _trouble(error: Exception) -> str:
    match error:
        case _RefusedError():
            return f"refuses the question: {error}"
        case ValidationError():
            return "does not answer as Prometheus does: give the URL under which /api/v1/query is"
        case _:
            return (
                f"cannot be asked ({error}): is the URL right, and is there a way to it, such as kubectl port-forward?"
            )


def _codes(kind: type[RerankError]) -> Iterator[str]:
    if kind.status >= SERVER_FAULT:
        yield kind.code
    for child in kind.__subclasses__():
        yield from _codes(child)


_FAULTS = frozenset(_codes(RerankError))
"""Outcomes that are failures of a lane."""
