"""The fleet as options of a command: what somebody typed comes in, a checked Fleet goes out.

`render`, `apply` and `diff` take the same options, so that what is looked at is what is applied.
"""

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from rich.console import Console
from rich.markup import escape

from serve_app.catalog import Catalog
from serve_app.catalog_file import default_catalog_path, load_catalog, load_routes
from serve_app.cluster.clouds import Cloud
from serve_app.cluster.fleet import PLACEHOLDER_IMAGE, Fleet, Upgrade
from serve_app.cluster.placement import place
from serve_app.routes import RouteTable
from serve_app.settings import read_settings

BUNDLED = "rerank-tiny"
ACCURATE = "minilm-l12"

Where = Annotated[
    Cloud, typer.Option(help="Where: how V100 nodes are found there. none has no GPU and serves rerank-tiny.")
]
Image = Annotated[
    str,
    typer.Option(
        metavar="NAME@sha256:…", help="The image, by its digest.", show_default="a placeholder, which cannot start"
    ),
]
Host = Annotated[str, typer.Option(help="The DNS name that clients use; the Ingress has it.")]
Default = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL", help=f"Answers requests that name no model. Default: {ACCURATE}, or the first of --variants."
    ),
]
Variants = Annotated[
    str | None, typer.Option(metavar="A,B", help="Serve only these, and start all at once. Default: the catalog.")
]
MostGpus = Annotated[int, typer.Option(min=1, metavar="N", help="V100s that the autoscaler may take.")]
How = Annotated[
    Upgrade, typer.Option(help="How a new image comes: a second cluster of full size, or by steps through a Gateway.")
]
GatewayClass = Annotated[str, typer.Option(metavar="CLASS", help="Of the Gateway, for incremental upgrades.")]
Routes = Annotated[Path | None, typer.Option(metavar="FILE", help="Routes, such as configs/routes.yaml.")]


def takes_fleet(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of a fleet before its own; it is called with the fleet as `fleet`."""
    of_fleet = inspect.signature(fleet_of, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters

    @wraps(command)
    def taken(**given: Any) -> None:
        command(fleet=fleet_of(**{name: given.pop(name) for name in of_fleet}), **given)

    parameters = [*of_fleet.values(), *(each for name, each in own.items() if name != "fleet")]
    as_options = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in parameters]
    taken.__signature__ = inspect.Signature(as_options)  # type: ignore[attr-defined]
    taken.__annotations__ = {
        **get_type_hints(fleet_of, include_extras=True),
        **get_type_hints(command, include_extras=True),
    }
    return taken


def fleet_of(
    cloud: Where,
    image: Image = PLACEHOLDER_IMAGE,
    host: Host = "rerank.example.com",
    default: Default = None,
    variants: Variants = None,
    most_gpus: MostGpus = 4,
    upgrade: How = Upgrade.NEW_CLUSTER,
    gateway_class: GatewayClass = "istio",
    routes: Routes = None,
) -> Fleet:
    """Raises ConfigurationError for one that cannot be."""
    chosen = tuple(name.strip() for name in variants.split(",") if name.strip()) if variants else ()
    if cloud is Cloud.NONE and not chosen:
        chosen = (BUNDLED,)
    catalog, limits = _served(chosen, default), read_settings().limits
    table = RouteTable() if routes is None else load_routes(routes, catalog)
    return Fleet(catalog, chosen, cloud, image, host, most_gpus, upgrade, gateway_class, limits, table)


def tell(fleet: Fleet) -> None:
    """What starts at once, and what is missing; on stderr, for stdout may be going into kubectl."""
    console = Console(stderr=True)
    for number, gpu in enumerate(place(fleet.at_once(), fleet.most_gpus) if fleet.on_gpus else (), 1):
        names = ", ".join(variant.name for variant in gpu.replicas)
        console.print(escape(f"V100 {number}: {names} ({gpu.share:.2f} of it)"), highlight=False, soft_wrap=True)
    if fleet.image == PLACEHOLDER_IMAGE:
        console.print(
            "[yellow]the image is a placeholder, which no node can pull: name yours with --image[/yellow]",
            highlight=False,
            soft_wrap=True,
        )


def _served(chosen: Sequence[str], default: str | None) -> Catalog:
    """As the application will choose them (`served_catalog` in app.py), with a better default than the bundled one."""
    catalog = load_catalog(default_catalog_path())
    if chosen:
        catalog = catalog.only(chosen)
    elif default is None:
        default = ACCURATE
    return catalog if default is None else catalog.with_default(default)
