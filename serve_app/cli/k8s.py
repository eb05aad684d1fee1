"""`rerank k8s`: a fleet on Kubernetes with KubeRay. Here are its commands, and `render`; the others have files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from serve_app.cli.fleet_options import takes_fleet, tell
from serve_app.cli.k8s_apply import apply, delete, diff
from serve_app.cli.k8s_routes import rollout, routes
from serve_app.cli.k8s_status import logs, status
from serve_app.cli.yaml_text import yaml_text
from serve_app.cluster.fleet import Fleet
from serve_app.cluster.manifests import manifests
from serve_app.cluster.objects import Object
from serve_app.errors import ConfigurationError

_HEADER = "# Written by `rerank k8s render`, which would write over changes: make them in an overlay of your own.\n"
Out = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write a kustomize tree there (base, monitoring, overlays) and print nothing."),
]

k8s = typer.Typer(
    help="The service on Kubernetes, with KubeRay: k8s/README.md shows the whole way.", no_args_is_help=True
)


@k8s.command()
@takes_fleet
def render(fleet: Fleet, out: Out = None) -> None:
    """Print everything that the fleet needs but its Secrets, for `kubectl apply -f -`, or write it with --out.

    What starts at once must fit the V100s, by GPU shares and memory reckoned from the catalog. Limits of requests
    are those of RERANK_LIMITS__….

    rerank k8s render --cloud gke --image example.com/rerank@sha256:… --host rerank.example.com --out mine
    """
    tree = manifests(fleet)
    if out is None:
        typer.echo(yaml_text(tree.objects()), nl=False)
    else:
        _write(out, tree.files())
    tell(fleet)


k8s.command()(apply)
k8s.command()(diff)
k8s.command()(status)
k8s.command()(logs)
k8s.command()(delete)
k8s.add_typer(routes, name="routes")
k8s.command()(rollout)


def _write(folder: Path, files: dict[str, Sequence[Object]]) -> None:
    try:
        for name, objects in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_HEADER + yaml_text(objects), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be written: {error.strerror}") from None
