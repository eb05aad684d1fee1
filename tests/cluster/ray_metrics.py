"""Names of the metrics that the installed Ray and this project export, read where they are made."""

import re
from functools import cache
from pathlib import Path

import ray

from serve_app import metrics

PACKAGE = Path(ray.__file__).parent
_MADE = re.compile(r"metrics\.(Counter|Gauge|Histogram)\(\s*(?:name=)?f?\"(serve_[a-z_{}]+)\"")
_ENDINGS = {"Counter": ("_total",), "Gauge": ("",), "Histogram": ("_bucket", "_sum", "_count")}
_IN_A_QUERY = re.compile(r"\b(?:ray|autoscaler)_[a-z_]+\b")


@cache
def exported() -> frozenset[str]:
    """As Prometheus sees them."""
    return frozenset({*_serve(), *_nodes(), *_autoscaler(), *_ours()})


def metrics_of(expression: str) -> set[str]:
    """Those that a query reads."""
    return set(_IN_A_QUERY.findall(expression))


def _serve() -> set[str]:
    found = set()
    for file in (PACKAGE / "serve" / "_private").glob("*.py"):
        for kind, name in _MADE.findall(file.read_text()):
            names = [name.replace("{protocol_name}", protocol) for protocol in ("http", "grpc")]
            found |= {f"ray_{each}{ending}" for each in names for ending in _ENDINGS[kind]}
    return found


def _nodes() -> set[str]:
    text = (PACKAGE / "dashboard/modules/reporter/reporter_agent.py").read_text()
    return {f"ray_{name}" for name in re.findall(r"\"(node_[a-z_]+)\": Gauge\(", text)}


def _autoscaler() -> set[str]:
    text = (PACKAGE / "autoscaler/_private/prom_metrics.py").read_text()
    return {f"autoscaler_{name}" for name in re.findall(r"Gauge\(\s*\"([a-z_]+)\"", text)}


def _ours() -> set[str]:
    kinds = (metrics.Counter, metrics.Gauge, metrics.Histogram)
    made = [each for each in vars(metrics).values() if isinstance(each, kinds)]
    # Our counters' names end in _total already.
    endings = {"Counter": ("",), "Gauge": ("",), "Histogram": _ENDINGS["Histogram"]}
    return {f"ray_{each.name}{ending}" for each in made for ending in endings[type(each).__name__]}
