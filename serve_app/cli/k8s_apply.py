"""`rerank k8s apply`, `diff` and `delete`: manifests go into the cluster, are compared with it, are taken out of it."""

import difflib
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from serve_app.cli.fleet_options import takes_fleet, tell
from serve_app.cli.yaml_text import yaml_text
from serve_app.cluster.changes import Action, Change, perform, rehearse, temporary, whole
from serve_app.cluster.companions import TLS_SECRET
from serve_app.cluster.fleet import PLACEHOLDER_IMAGE, Fleet
from serve_app.cluster.kube import Kube
from serve_app.cluster.manifests import manifests
from serve_app.cluster.objects import NAMESPACE, Object, kubernetes_object
from serve_app.cluster.pods import KEYS_SECRET, PRIORITY_CLASS, REDIS_SECRET
from serve_app.errors import ConfigurationError

DIFFERS = 2
"""Exit code of a diff that found something; 1 is an error."""
_SECRETS = (REDIS_SECRET, KEYS_SECRET, TLS_SECRET)
_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
Context = Annotated[str | None, typer.Option(metavar="NAME", help="Of the kubeconfig. Default: its current one.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Force = Annotated[bool, typer.Option("--force", help="Take over fields that somebody else owns.")]


@takes_fleet
def apply(fleet: Fleet, context: Context = None, force: Force = False, yes: Yes = False) -> None:
    """Make the cluster as the fleet is: show what would change, ask, and apply it.

    The API server rehearses each object first, so that what it would refuse is said before anything is done. Routes
    that were changed in place stay, unless --routes gives others. Secrets are made with kubectl: k8s/README.md.
    """
    if fleet.image == PLACEHOLDER_IMAGE:
        raise ConfigurationError("the image is a placeholder, which no node can pull: name yours with --image")
    kube, console = Kube(context), Console()
    changes = _rehearsed(kube, fleet, force=force)
    tell(fleet)
    _show(console, changes)
    if all(change.action in {Action.KEEP, Action.SKIP} for change in changes):
        console.print("nothing to change")
    else:
        if not yes:
            typer.confirm(f"Apply to {kube.host}?", abort=True)
        perform(kube, changes, lambda change: _tell_done(console, change), force=force)
    _tell_secrets(kube, console)


@takes_fleet
def diff(fleet: Fleet, context: Context = None, force: Force = False) -> None:
    """Show what apply would change, and change nothing. Exit code 0: nothing, 2: something, 1: an error."""
    changes = _rehearsed(Kube(context), fleet, force=force)
    tell(fleet)
    _show(Console(), changes)
    if any(change.action not in {Action.KEEP, Action.SKIP} for change in changes):
        raise typer.Exit(DIFFERS)


def delete(
    everything: Annotated[
        bool, typer.Option("--everything", help="The namespace too, with volumes, usage, keys and routes.")
    ] = False,
    context: Context = None,
    yes: Yes = False,
) -> None:
    """Take the fleet out of the cluster. What cannot be made again stays: Secrets, weights, and Redis' volume."""
    kube, console = Kube(context), Console()
    found: Sequence[Object] = whole(NAMESPACE, PRIORITY_CLASS) if everything else list(temporary(kube))
    if not found:
        console.print(f"there is no fleet in the namespace {NAMESPACE}")
        return
    for each in found:
        console.print(f"{each['kind']} {escape(each['metadata']['name'])}", highlight=False)
    if not yes:
        lost = ", with all weights, usage and keys in it" if everything else ""
        typer.confirm(f"Delete these from {kube.host}{lost}?", abort=True)
    gone = sum(kube.delete(each) for each in track(found, "deleting", console=Console(stderr=True), transient=True))
    console.print(f"deleted {gone}")


def _rehearsed(kube: Kube, fleet: Fleet, *, force: bool) -> list[Change]:
    objects = manifests(fleet).objects()
    rehearsed = rehearse(kube, objects, force=force)
    console = Console(stderr=True)
    return list(track(rehearsed, "comparing", total=len(objects), console=console, transient=True))


def _show(console: Console, changes: Sequence[Change]) -> None:
    for change in changes:
        match change.action:
            case Action.CREATE:
                console.print(f"[green]+ {escape(str(change))}[/green]", highlight=False)
            case Action.SKIP:
                told = f"{change}: the cluster has no such kind; with the Prometheus operator, apply again"
                console.print(f"[yellow]skipped {escape(told)}[/yellow]", highlight=False, soft_wrap=True)
            case Action.CHANGE | Action.REPLACE:
                _show_difference(console, change)
            case Action.KEEP:
                pass


def _show_difference(console: Console, change: Change) -> None:
    how = " (deleted and made again: it cannot be changed)" if change.action is Action.REPLACE else ""
    console.print(f"[yellow]~ {escape(str(change))}[/yellow]{how}", highlight=False)
    before, after = (yaml_text([each or {}]).splitlines() for each in (change.before, change.after))
    for line in list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]:
        colour = _COLOURS.get(line[0], "dim")
        console.print(f"  [{colour}]{escape(line)}[/{colour}]", highlight=False, soft_wrap=True)


def _tell_done(console: Console, change: Change) -> None:
    if change.action not in {Action.KEEP, Action.SKIP}:
        console.print(f"{change.action}d {escape(str(change))}", highlight=False)


def _tell_secrets(kube: Kube, console: Console) -> None:
    wanted = {name: kubernetes_object("v1", "Secret", name, {}) for name in _SECRETS}
    missing = [name for name, secret in wanted.items() if kube.read(secret) is None]
    if missing:
        told = f"pods wait until these Secrets are there: {', '.join(missing)}; k8s/README.md makes them"
        console.print(f"[yellow]{told}[/yellow]", highlight=False, soft_wrap=True)
    console.print("`rerank k8s status --watch` shows how it goes", highlight=False)
