"""`rerank rollout`: a canary gets more of a running service's requests step by step, while it keeps its limits."""

from rich.console import Console

from serve_app.cli.client import ServiceClient
from serve_app.cli.lever import ServiceLever
from serve_app.cli.limits import Agreement, Compare, ErrorRate, LatencyRatio, Observations, limits_of
from serve_app.cli.rolling import HoldTime, Resume, Steps, plan_of, roll_out
from serve_app.cli.routes import Name, Url, Variant


def rollout(
    name: Name,
    variant: Variant,
    steps: Steps = "1,5,25,50,100",
    hold: HoldTime = "5m",
    resume: Resume = False,
    max_error_rate: ErrorRate = "0.01",
    max_latency_ratio: LatencyRatio = "1.5",
    min_agreement: Agreement = "0.2",
    compare: Compare = 0.1,
    min_observations: Observations = 50,
    url: Url = None,
) -> None:
    """Roll a variant out on a route of a running service, step by step, and promote it.

    A step is held until its figures are in order, and given up after four times that. The service's guard stops a bad
    canary by itself, within seconds. Interrupting leaves the canary at its weight, guarded; --resume goes on.
    """
    limits = limits_of(max_error_rate, max_latency_ratio, min_agreement, compare, min_observations)
    plan = plan_of(steps, hold, limits)
    lever = ServiceLever(ServiceClient(url), name, variant, limits)
    roll_out(plan, lever, resume=resume, commands="rerank routes")
    Console().print(f"{variant} is the only lane of {name}; `rerank routes undo` takes that back")
