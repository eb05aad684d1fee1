"""`rerank k8s`: the manifests of a fleet on Kubernetes with KubeRay, printed or written."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.markup import escape

from serve_app.catalog import Catalog
from serve_app.catalog_file import default_catalog_path, load_catalog, load_routes
from serve_app.cluster.clouds import Cloud
from serve_app.cluster.fleet import PLACEHOLDER_IMAGE, Fleet, Upgrade
from serve_app.cluster.manifests import manifests
from serve_app.cluster.objects import Object
from serve_app.cluster.placement import place
from serve_app.errors import ConfigurationError
from serve_app.routes import RouteTable
from serve_app.settings import read_settings

BUNDLED = "rerank-tiny"
ACCURATE = "minilm-l12"
_HEADER = "# Written by `rerank k8s render`, which would write over changes: make them in an overlay of your own.\n"

Where = Annotated[
    Cloud, typer.Option(help="Where: how V100 nodes are found there. none has no GPU and serves rerank-tiny.")
]
Image = Annotated[
    str,
    typer.Option(
        metavar="NAME@sha256:…", help="The image, by its digest.", show_default="a placeholder, which cannot start"
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write a kustomize tree there (base, monitoring, overlays) and print nothing."),
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

k8s = typer.Typer(
    help="The service on Kubernetes, with KubeRay: k8s/README.md shows the whole way.", no_args_is_help=True
)


@k8s.callback()
def _of_kubernetes() -> None:
    """Keeps `render` a word of its own while it is the only command."""


@k8s.command()
def render(
    cloud: Where,
    image: Image = PLACEHOLDER_IMAGE,
    out: Out = None,
    host: Host = "rerank.example.com",
    default: Default = None,
    variants: Variants = None,
    most_gpus: MostGpus = 4,
    upgrade: How = Upgrade.NEW_CLUSTER,
    gateway_class: GatewayClass = "istio",
    routes: Routes = None,
) -> None:
    """Print everything that the fleet needs but its Secrets, for `kubectl apply -f -`, or write it with --out.

    What starts at once must fit the V100s, by GPU shares and memory reckoned from the catalog. Limits of requests
    are those of RERANK_LIMITS__….

    rerank k8s render --cloud gke --image example.com/rerank@sha256:… --host rerank.example.com --out mine
    """
    chosen = tuple(name.strip() for name in variants.split(",") if name.strip()) if variants else ()
    if cloud is Cloud.NONE and not chosen:
        chosen = (BUNDLED,)
    catalog, limits = _served(chosen, default), read_settings().limits
    table = RouteTable() if routes is None else load_routes(routes, catalog)
    fleet = Fleet(catalog, chosen, cloud, image, host, most_gpus, upgrade, gateway_class, limits, table)
    tree = manifests(fleet)
    if out is None:
        typer.echo(_yaml(tree.objects()), nl=False)
    else:
        _write(out, tree.files())
    _tell(fleet)


def _served(chosen: Sequence[str], default: str | None) -> Catalog:
    """As the application will choose them (`served_catalog` in app.py), with a better default than the bundled one."""
    catalog = load_catalog(default_catalog_path())
    if chosen:
        catalog = catalog.only(chosen)
    elif default is None:
        default = ACCURATE
    return catalog if default is None else catalog.with_default(default)


def _write(folder: Path, files: dict[str, Sequence[Object]]) -> None:
    try:
        for name, objects in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_HEADER + _yaml(objects), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from None


def _yaml(objects: Iterable[Object]) -> str:
    return yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=120)


class _Dumper(yaml.SafeDumper):
    """Without anchors, which nobody expects in a manifest, and with texts of several lines as they are."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - yaml's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def _tell(fleet: Fleet) -> None:
    """On stderr, for stdout may be going into kubectl."""
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
