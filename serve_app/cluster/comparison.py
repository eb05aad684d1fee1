"""Two signals to scale by, on the same traffic: `python -m serve_app.cluster.comparison` writes the table.

Ray's own policy, which counts requests, beside ours, which counts tokens. Simulated replicas, in simulated time; the
figures are those of the simulation, and what it leaves out is said there.
"""

import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from serve_app.autoscaling import BUSY, Aim, Pacing
from serve_app.catalog import TARGET_DOCUMENTS, Variant
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.cluster.capacity import kind_of, late_share, percentile
from serve_app.cluster.scaling import Policy, Rule, by_requests, by_tokens
from serve_app.cluster.simulation import Fleet, Run
from serve_app.cluster.traffic import MANY, MIXED, Request, phased

MODEL = "minilm-l6"
MOST = 64
WINDOW_S = 10.0
OURS = f"**tokens: busy up to {BUSY:.0%}**"
RAYS = "requests: Ray's defaults, 2 a replica"
RAYS_PACING = Pacing(report_every_s=10, look_back_s=30, up_after_s=30, down_after_s=600, down_share=1.0)
"""What Ray Serve 2.60 does when nothing is said."""


@dataclass(frozen=True, slots=True)
class Line:
    """One way to scale, and what came of it."""

    name: str
    replica_s: float
    most: int
    p99_s: float
    large_p99_s: float
    late: float
    seconds_above: float
    """Part of the time, in windows with requests, in which the p99 of a window was above the target."""


def compare(variant: Variant, requests: Sequence[Request], names: Collection[str] = ()) -> Iterator[Line]:
    """The ways of these names, or each, on the same requests; a replica has a V100 for itself."""
    serving = variant.serving
    target_s = serving.latency_target_ms / 1_000
    for name, policy, pacing in _ways(target_s):
        if not names or name in names:
            rule = Rule(policy, pacing, serving.idle_after_s, 0, MOST)
            yield _line(name, Fleet(requests, kind_of(variant, 1.0), rule).run(1), target_s)


def _ways(target_s: float) -> list[tuple[str, Policy, Pacing]]:
    ours = Pacing()
    return [
        (RAYS, by_requests(2), RAYS_PACING),
        *((f"requests: {each} a replica, our pacing", by_requests(each), ours) for each in (1, 2, 4, 8)),
        *((_name(busy), by_tokens(Aim(target_s, busy)), ours) for busy in (0.7, 0.6, BUSY, 0.4)),
    ]


def _name(busy: float) -> str:
    return OURS if busy == BUSY else f"tokens: busy up to {busy:.0%}"


def _line(name: str, run: Run, target_s: float) -> Line:
    large = [took_s for request, took_s in zip(run.requests, run.took_s, strict=True) if request.documents == MANY]
    above = _seconds_above(run, target_s)
    p99_s, large_p99_s = percentile(run.took_s, 0.99), percentile(large, 0.99)
    return Line(name, run.replica_s, run.most, p99_s, large_p99_s, late_share(run, target_s), above)


def _seconds_above(run: Run, target_s: float) -> float:
    windows: dict[int, list[float]] = {}
    for request, took_s in zip(run.requests, run.took_s, strict=True):
        allowed = target_s * max(1.0, request.documents / TARGET_DOCUMENTS)
        windows.setdefault(int(request.at_s // WINDOW_S), []).append(took_s / allowed)
    return sum(percentile(each, 0.99) > 1 for each in windows.values()) / len(windows)


def table(lines: Sequence[Line]) -> str:
    """As Markdown."""
    rows = [
        "| scaled by | replica-seconds | most replicas | p99 s | p99 s of 1,000 documents | late | time above target |",
        "|-|-:|-:|-:|-:|-:|-:|",
    ]
    rows += [
        f"| {line.name} | {line.replica_s:,.0f} | {line.most} | {line.p99_s:.2f} | {line.large_p99_s:.1f} | "
        f"{line.late:.1%} | {line.seconds_above:.1%} |"
        for line in lines
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    served = load_catalog(default_catalog_path()).variants[MODEL]
    sys.stdout.write(table(list(compare(served, phased(MIXED)))) + "\n")
