"""`rerank k8s status` and `logs`: how the fleet is, and what its pods say."""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from serve_app.cli.k8s_apply import Context
from serve_app.cluster.kube import Kube, KubernetesError
from serve_app.cluster.objects import NAME, NAMESPACE, PART_LABEL, Object, Part, kubernetes_object
from serve_app.cluster.status import FleetStatus, fleet_status

WATCH_EVERY_S = 2.0
AUTOSCALER = "autoscaler"
"""KubeRay's container in the head's pod."""
UNSEEN = (
    f"KubeRay has done nothing about the RayService {NAME} yet. If it stays so for a minute: does its operator run?\n"
    "`kubectl get pods --all-namespaces | grep kuberay-operator`; k8s/README.md installs it"
)
_API = "ray.io/v1"


class Who(StrEnum):
    """Whose log."""

    ROUTER = Part.ROUTER.value
    SCORER = Part.SCORER.value
    HEAD = Part.HEAD.value
    AUTOSCALER = AUTOSCALER
    REDIS = Part.REDIS.value
    MODELS = Part.MODELS.value


def status(
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
    context: Context = None,
) -> None:
    """Show conditions, what Ray Serve runs, the groups of workers, and every pod with why it waits.

    Exit code 0: the service answers by what the operator says; 2: it does not.
    """
    kube, console = Kube(context), Console()
    seen = _look(kube)
    if watch:
        try:
            with Live(_shown(seen), console=console, auto_refresh=False) as live:
                while True:
                    time.sleep(WATCH_EVERY_S)
                    seen = _look(kube)
                    live.update(_shown(seen), refresh=True)
        except KeyboardInterrupt:
            pass
    else:
        console.print(_shown(seen), crop=False)
    if not seen.ready:
        raise typer.Exit(2)


def logs(
    who: Annotated[Who, typer.Argument(help="Whose.")] = Who.ROUTER,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")] = False,
    lines: Annotated[int, typer.Option(min=0, metavar="N", help="The last ones of each pod.")] = 100,
    context: Context = None,
) -> None:
    """Print what pods log: of routers a line a request with its id, of the head each decision to scale."""
    kube, console = Kube(context), Console()
    part = Part.HEAD if who is Who.AUTOSCALER else Part(who.value)
    pods = kube.listed("v1", "Pod", f"{PART_LABEL}={part.value}")
    if not pods:
        raise KubernetesError(
            f"there is no pod for {part.value} in {NAMESPACE}; `rerank k8s status` shows what there is"
        )

    def print_log(pod: Object) -> None:
        name = pod["metadata"]["name"]
        container = AUTOSCALER if who is Who.AUTOSCALER else pod["spec"]["containers"][0]["name"]
        for line in kube.log(name, container, lines=lines, follow=follow):
            console.print(f"{name}  {line}" if len(pods) > 1 else line, markup=False, highlight=False, soft_wrap=True)

    if not follow:
        for pod in pods:
            print_log(pod)
        return
    with ThreadPoolExecutor(len(pods)) as threads:
        list(threads.map(print_log, pods))


def _look(kube: Kube) -> FleetStatus:
    rayservice = kube.read(kubernetes_object(_API, "RayService", NAME, {}))
    if rayservice is None:
        raise KubernetesError(f"there is no RayService {NAME} in {NAMESPACE}: `rerank k8s apply` makes one")
    return fleet_status(rayservice, kube.listed(_API, "RayCluster"), kube.listed("v1", "Pod"))


def _shown(seen: FleetStatus) -> Group:
    if not (seen.conditions or seen.groups or seen.pods):
        return Group(UNSEEN)
    return Group(
        _table(
            ("condition", "", "why"),
            (
                (
                    _sign(each.holds == (each.name == "Ready")) + each.name,
                    str(each.holds),
                    _why(each.reason, each.message),
                )
                for each in seen.conditions
            ),
        ),
        "",
        _table(
            ("deployment", "cluster", "", "why"),
            ((escape(e.name), escape(e.cluster), e.status, escape(e.message)) for e in seen.deployments),
        ),
        "",
        _table(
            ("workers", "cluster", "ready", "wanted", "at least", "at most"),
            (
                (escape(e.name), escape(e.cluster), *map(str, (e.ready, e.wanted, e.fewest, e.most)))
                for e in seen.groups
            ),
        ),
        "",
        _table(
            ("pod", "for", "node", "waits because"),
            ((_sign(e.ready) + escape(e.name), e.part, escape(e.node), escape(e.why)) for e in seen.pods),
        ),
    )


def _table(headings: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _sign(good: bool) -> str:
    return "[green]✓[/green] " if good else "[yellow]·[/yellow] "


def _why(reason: str, message: str) -> str:
    return escape(": ".join(part for part in (reason, message) if part))
