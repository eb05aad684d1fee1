"""`rerank k8s routes` and `rollout`: the routes that the cluster declares, looked at and changed in place."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.cli.k8s_apply import Context
from serve_app.cli.limits import Agreement, Compare, ErrorRate, LatencyRatio, Observations, limits_of
from serve_app.cli.rolling import HoldTime, Resume, Steps, plan_of, roll_out
from serve_app.cli.routes import Name, Variant, Weight, Yes, read_terms
from serve_app.cli.yaml_text import yaml_text
from serve_app.cluster.kube import Kube
from serve_app.cluster.lever import ClusterLever, ClusterRoutes
from serve_app.cluster.vitals import Prometheus
from serve_app.routes import Route

PROMETHEUS = "http://127.0.0.1:9090"

routes = typer.Typer(
    help="""Routes that the cluster's RayService declares: what KubeRay gives the routers, in place.

    What `rerank routes` changes is kept by the routers themselves, and lies on top of these.""",
    no_args_is_help=True,
)


@routes.command()
def show(context: Context = None) -> None:
    """Print the declared routes as a file of routes, and what the fleet serves."""
    found = _routes(context)
    console = Console()
    table = found.table()
    if table.routes:
        terms = {
            name: route.terms.model_dump(mode="json", exclude_defaults=True) for name, route in table.routes.items()
        }
        typer.echo(yaml_text([{"routes": terms}]), nl=False)
    else:
        console.print("the RayService declares no routes; `rerank k8s routes set ROUTE FILE` does")
    console.print(f"# the fleet serves {escape(', '.join(found.served()))}", highlight=False, soft_wrap=True)


@routes.command(name="set")
def set_(
    name: Name,
    file: Annotated[Path, typer.Argument(help="Its lanes and so on, as YAML or JSON; - is stdin.")],
    context: Context = None,
) -> None:
    """Declare a route, or another in its place."""
    terms, found = read_terms(file), _routes(context)
    found.change(lambda table: table.with_route(Route(name=name, **dict(terms))))
    _tell(found, name)


@routes.command()
def canary(
    name: Name,
    variant: Variant,
    weight: Weight = 5.0,
    max_error_rate: ErrorRate = "0.01",
    max_latency_ratio: LatencyRatio = "1.5",
    min_agreement: Agreement = "0.2",
    compare: Compare = 0.1,
    min_observations: Observations = 50,
    context: Context = None,
) -> None:
    """Give a variant some of a route's requests, under a guard that takes them when it is worse than the baseline."""
    guard = limits_of(max_error_rate, max_latency_ratio, min_agreement, compare, min_observations)
    found = _routes(context)
    short_name = found.short_name(variant)
    _change(found, name, lambda route: route.with_canary(short_name, weight, guard))


@routes.command()
def promote(name: Name, context: Context = None) -> None:
    """Make the canary the route's only lane."""
    _change(_routes(context), name, Route.promoted)


@routes.command()
def abort(name: Name, context: Context = None) -> None:
    """Take the canary's weight."""
    _change(_routes(context), name, Route.aborted)


@routes.command()
def remove(name: Name, yes: Yes = False, context: Context = None) -> None:
    """Declare a route no more: requests that name it are refused from then on."""
    found = _routes(context)
    found.route(name)
    if not yes:
        typer.confirm(f"Remove {name}? Requests that name it will be refused.", abort=True)
    found.change(lambda table: table.without(name))
    Console().print(f"{escape(name)} is no route any more", highlight=False)


def rollout(
    name: Name,
    variant: Variant,
    steps: Steps = "1,5,25,50,100",
    hold: HoldTime = "5m",
    resume: Resume = False,
    prometheus: Annotated[
        str, typer.Option(metavar="URL", help="What scrapes the fleet; `kubectl port-forward` brings it here.")
    ] = PROMETHEUS,
    max_error_rate: ErrorRate = "0.01",
    max_latency_ratio: LatencyRatio = "1.5",
    min_agreement: Agreement = "0.2",
    compare: Compare = 0.1,
    min_observations: Observations = 50,
    context: Context = None,
) -> None:
    """Roll a variant out on a declared route, step by step, by what Prometheus sees, and promote it.

    Each step is a patch of the RayService's serveConfigV2, applied in place. Hold a step for some scrapes at least. The
    routers' own guard stops a bad canary within seconds. Interrupting leaves it at its weight; --resume goes on.
    """
    limits = limits_of(max_error_rate, max_latency_ratio, min_agreement, compare, min_observations)
    plan = plan_of(steps, hold, limits)
    lever = ClusterLever(_routes(context), Prometheus(prometheus), name, variant, limits)
    roll_out(plan, lever, resume=resume, commands="rerank k8s routes")
    Console().print(f"{variant} is the only lane of {name}", highlight=False)


def _routes(context: str | None) -> ClusterRoutes:
    return ClusterRoutes(Kube(context), load_catalog(default_catalog_path()))


def _change(found: ClusterRoutes, name: str, move: Callable[[Route], Route]) -> None:
    found.change_route(name, move)
    _tell(found, name)


def _tell(found: ClusterRoutes, name: str) -> None:
    Console().print(f"declared {escape(str(found.route(name)))}", highlight=False, soft_wrap=True)
