"""`rerank serve`: the whole service on this machine, until Ctrl-C."""

import asyncio
import signal
import socket
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner

from serve_app import __version__
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.errors import ConfigurationError
from serve_app.key_file import read_keys
from serve_app.packages import require_packages
from serve_app.scoring import ScorerState
from serve_app.settings import Settings, read_settings

APP_NAME = "rerank"
LOOKS_PER_SECOND = 4
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_CURL = """\
curl -s {url}/v1/rerank{key} -H 'Content-Type: application/json' -d '{{
  "query": "How many people live in Berlin?",
  "documents": ["Berlin is well known for its museums.",
                "Berlin had a population of 3,520,031 registered inhabitants."]
}}'"""


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on. Default: RERANK_HOST, else 127.0.0.1.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Default: RERANK_PORT, else 8000.")] = None,
    models_dir: Annotated[
        Path | None, typer.Option(help="Weights, DIR/<last part of the hub id>. Default: RERANK_MODELS_DIR, else none.")
    ] = None,
    catalog: Annotated[
        Path | None, typer.Option(help="Catalog file. Default: RERANK_CATALOG, else the built-in.")
    ] = None,
    variants: Annotated[
        str | None,
        typer.Option(metavar="A,B", help="Serve only these, and the stages of cascades, and start all at once."),
    ] = None,
    routes: Annotated[
        Path | None,
        typer.Option(help="File of routes, such as configs/routes.yaml. Default: RERANK_ROUTES, else none."),
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="File of API keys (`rerank keys create` writes it). Default: RERANK_KEYS.")
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Answer everybody on this machine, without keys. Default: RERANK_OPEN.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --open, beyond this machine too: whoever reaches HOST is answered.")
    ] = False,
) -> None:
    """Start the service on this machine: the default variant at once, the others on their first request."""
    given = {"host": host, "port": port, "models_dir": models_dir, "catalog": catalog, "keys": keys, "routes": routes}
    settings = read_settings().model_copy(update={key: value for key, value in given.items() if value is not None})
    if open_:
        settings = settings.model_copy(update={"open": True, **({} if keys else {"keys": None})})
    names = tuple(name.strip() for name in variants.split(",") if name.strip()) if variants else ()
    _require_keys(settings, force)
    _require_free(settings.host, settings.port)
    require_packages("ray", "fastapi", "torch", "transformers")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    try:
        _run(settings, names, console)
    except KeyboardInterrupt:
        console.print("stopped")


def _run(settings: Settings, names: tuple[str, ...], console: Console) -> None:
    path = settings.catalog or default_catalog_path()
    catalog = load_catalog(path).only(names) if names else load_catalog(path)
    at_once = list(catalog.variants) if names else [v.name for v in catalog.variants_of(catalog.default_served)]
    # Ray reads its environment, which this module prepares, when it is imported.
    from serve_app.local import private_ray

    with ExitStack() as running:
        with console.status("starting Ray"):
            ray = running.enter_context(private_ray(settings.host, settings.port))
        _deploy(settings, names, at_once, console)
        running.callback(ray.delete, APP_NAME, settings.limits.request_timeout_s)
        _greet(settings, ray.logs, console)
        while True:
            time.sleep(3_600)


def _deploy(settings: Settings, names: tuple[str, ...], at_once: Iterable[str], console: Console) -> None:
    """Deploy, with a line a variant while it loads; raises ConfigurationError when Ray gives up."""
    import ray
    from ray import serve as ray_serve

    from serve_app.app import AppArgs, build

    resources = ray.cluster_resources()
    if settings.device == "cuda" and not resources.get("GPU"):
        raise ConfigurationError("RERANK_DEVICE is cuda and Ray sees no GPU here: use auto or cpu")
    args = AppArgs(
        catalog=settings.catalog,
        variants=names,
        models_dir=settings.models_dir and settings.models_dir.resolve(),
        device=settings.device,
        dtype=settings.dtype,
        threads_per_scorer=max(1, int(resources["CPU"])),
        reserve_cpus=False,
        most_replicas=1,
        limits=settings.limits,
        keys=settings.keys and settings.keys.resolve(),
        open=settings.open,
        redis_url=settings.redis_url,
        routes=settings.routes and settings.routes.resolve(),
        usage=settings.usage.model_copy(update={"path": settings.usage.path.resolve()}),
    )
    target = ray_serve.RunTarget(build(args), name=APP_NAME, route_prefix="/")
    ray_serve.run_many([target], wait_for_applications_running=False)
    began = time.monotonic()
    loading = {name: Spinner("dots", text=f"{name}: loading") for name in at_once}
    with Live(Group(*loading.values()), console=console, transient=True, refresh_per_second=LOOKS_PER_SECOND):
        while (application := ray_serve.status().applications[APP_NAME]).status != "RUNNING":
            if application.status == "DEPLOY_FAILED":
                raise ConfigurationError(f"the service did not start: {application.message}")
            for name, spinner in loading.items():
                deployment = application.deployments.get(name)
                state = "loaded" if deployment and deployment.status == "HEALTHY" else "loading"
                spinner.update(text=f"{name}: {state}, {time.monotonic() - began:.0f} s")
            time.sleep(1 / LOOKS_PER_SECOND)


def _address(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{settings.port}"


def _greet(settings: Settings, logs: Path, console: Console) -> None:
    """Say what is ready, what is not and why, and how to ask."""
    states = asyncio.run(_states())
    url = _address(settings)
    while not _answers(url):
        time.sleep(1 / LOOKS_PER_SECOND)
    for name, state in states.items():
        if state.status != "idle":
            ready = state.status == "ready"
            told = f"ready on {state.device} in {state.dtype}" if ready else state.reason or state.status
            mark = "[green]✓[/green]" if ready else "[red]✗[/red]"
            console.print(f"{mark} {name}: {escape(told)}", highlight=False)
    idle = sum(state.status == "idle" for state in states.values())
    if idle:
        console.print(f"  {idle} more load on their first request (`rerank models` lists them)", highlight=False)
    console.print(f"\nrerank-serve {__version__} answers at {url}", highlight=False)
    who = "everybody, without a key" if settings.keys is None else f"the keys in {settings.keys}"
    console.print(f"[dim]answers {who}   usage: {settings.usage.path}[/dim]", highlight=False, soft_wrap=True)
    console.print(f"[dim]API: {url}/docs   logs: {logs}   Ctrl-C stops it[/dim]\n", highlight=False, soft_wrap=True)
    key = "" if settings.keys is None else ' -H "Authorization: Bearer $RERANK_API_KEY"'
    console.print(_CURL.format(url=url, key=key), markup=False, highlight=False, soft_wrap=True)


async def _states() -> dict[str, ScorerState]:
    """What each variant can do, by its name; asked inside Ray, where no key is needed.

    The router's view is up to a second older than Ray's, which says that all are loaded.
    """
    from ray import serve as ray_serve

    router = ray_serve.get_deployment_handle("router", APP_NAME)
    while True:
        states: dict[str, ScorerState] = await router.states.remote()
        if "starting" not in {state.status for state in states.values()}:
            return states
        await asyncio.sleep(1 / LOOKS_PER_SECOND)


def _answers(url: str) -> bool:
    """Whether requests get to a router: what is in front of it hears of it a moment later than Ray."""
    try:
        return httpx.get(f"{url}/-/healthz", trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _require_keys(settings: Settings, force: bool) -> None:
    if settings.keys is None and not settings.open:
        raise ConfigurationError(
            "nothing says who may ask. For this machine alone: --open. Else make a key and name its file:\n"
            "  rerank keys create NAME --file keys.json\n"
            "  rerank serve --keys keys.json"
        )
    if settings.keys is not None and settings.open:
        raise ConfigurationError("API keys and --open exclude each other: choose one")
    if settings.open and settings.host not in LOOPBACK and not force:
        raise ConfigurationError(
            f"--open would answer whoever reaches {settings.host}: use --keys, or --force if that is meant"
        )
    if settings.keys is not None:
        read_keys(settings.keys)


def _require_free(host: str, port: int) -> None:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            tried.bind((host, port))
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port} ({error.strerror}): choose others with --host, --port"
        ) from None
