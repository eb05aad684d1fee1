"""`rerank routes`: look at the routes of a running service, and move their traffic."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from serve_app.cli.client import ServiceClient, ServiceError
from serve_app.cli.limits import Agreement, Compare, ErrorRate, LatencyRatio, Observations, limits_of
from serve_app.cli.routes_table import changes_table, routes_table
from serve_app.errors import ConfigurationError
from serve_app.routes import Route, RouteTerms

STDIN = Path("-")
Name = Annotated[str, typer.Argument(metavar="ROUTE", help="The route's name.")]
Variant = Annotated[str, typer.Argument(help="A variant or cascade, by any of its names.")]
Url = Annotated[str | None, typer.Option(help="The service. Default: RERANK_URL, else http://127.0.0.1:8000.")]
Weight = Annotated[float, typer.Option(min=0.1, max=100, metavar="PERCENT", help="Of the route's requests.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

routes = typer.Typer(
    help="""Routes: public names whose traffic is split over lanes. Wants a key with the scope `admin`.

    A change holds in every router when the command ends; `undo` takes the last one back.""",
    no_args_is_help=True,
)


@routes.command()
def show(
    name: Annotated[str | None, typer.Argument(metavar="[ROUTE]", help="One of them. Default: all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="What PUT /admin/routes takes and tells, as JSON.")] = False,
    url: Url = None,
) -> None:
    """Show routes, what their lanes did since they were changed, and the last changes."""
    shown = ServiceClient(url).routes()
    if name is not None:
        shown = {**shown, "routes": [found_in(shown, name)]}
    if as_json:
        sys.stdout.write(json.dumps(shown, indent=2) + "\n")
        return
    console = Console()
    if not shown["routes"]:
        console.print("there are no routes; `rerank routes set ROUTE FILE` makes one", highlight=False)
    else:
        console.print(routes_table(shown["routes"]), crop=False)
    if shown["changes"]:
        console.print()
        console.print(changes_table(shown["changes"]), crop=False)


@routes.command(name="set")
def set_(
    name: Name,
    file: Annotated[Path, typer.Argument(help="Its lanes and so on, as YAML or JSON; - is stdin.")],
    url: Url = None,
) -> None:
    """Make a route, or put another in its place."""
    terms = read_terms(file)
    client = ServiceClient(url)
    _put(client, name, terms, client.routes()["version"])


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
    url: Url = None,
) -> None:
    """Give a variant some of a route's requests, under a guard that takes them when it is worse than the baseline."""
    guard = limits_of(max_error_rate, max_latency_ratio, min_agreement, compare, min_observations)
    short_name = ServiceClient(url).short_name(variant)  # a lane of it may be there already
    _change(url, name, lambda route: route.with_canary(short_name, weight, guard))


@routes.command()
def promote(name: Name, url: Url = None) -> None:
    """Make the canary the route's only lane."""
    _change(url, name, Route.promoted)


@routes.command()
def abort(name: Name, url: Url = None) -> None:
    """Take the canary's weight."""
    _change(url, name, Route.aborted)


@routes.command()
def undo(url: Url = None) -> None:
    """Take the last change back, of whatever route; once more, the one before it."""
    client = ServiceClient(url)
    _tell(client.undo_routes(client.routes()["version"]))


@routes.command()
def remove(name: Name, yes: Yes = False, url: Url = None) -> None:
    """Remove a route: requests that name it are refused from then on."""
    client = ServiceClient(url)
    shown = client.routes()
    found_in(shown, name)
    if not yes:
        typer.confirm(f"Remove {name}? Requests that name it will be refused.", abort=True)
    _tell(client.remove_route(name, shown["version"]))


@routes.command()
def disagreements(name: Name, url: Url = None) -> None:
    """Show the requests whose documents a shadow, or a canary's baseline, ordered most otherwise than the answer."""
    console = Console()
    found = ServiceClient(url).disagreements(name)
    for each in found:
        console.print(f"[bold]{escape(each['query'])}[/bold]  tau {each['tau']:.2f}  {each['request_id']}")
        for who in ("answered", "compared"):
            console.print(f"  {who} {escape(each[who])}", highlight=False)
            for place, text in enumerate(each[f"{who}_first"], 1):
                console.print(f"    {place}. {escape(text)}", highlight=False)
    if not found:
        console.print("no order that was compared differed much")


def route_of(shown: Mapping[str, Any], name: str) -> Route:
    """The route of this name as the service shows it; raises ServiceError."""
    return Route.model_validate({**found_in(shown, name)["terms"], "name": name})


def found_in(shown: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What the service shows of this route; raises ServiceError."""
    found: dict[str, Any] | None = next((each for each in shown["routes"] if each["name"] == name), None)
    if found is None:
        names = ", ".join(each["name"] for each in shown["routes"]) or "none"
        raise ServiceError(f"there is no route {name!r}; the routes are: {names}")
    return found


def read_terms(file: Path) -> RouteTerms:
    """What an operator wrote of a route; raises ConfigurationError."""
    try:
        text = sys.stdin.read() if file == STDIN else file.read_text(encoding="utf-8")
        return RouteTerms.model_validate(yaml.safe_load(text))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"the route in {file} cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise ConfigurationError(
            f"the route in {file} is wrong: {key}: {first['msg'].removeprefix('Value error, ')}; it looks like "
            "{lanes: [{variant: minilm-l6, weight: 100}]}"
        ) from None


def _change(url: str | None, name: str, move: Callable[[Route], Route]) -> None:
    client = ServiceClient(url)
    shown = client.routes()
    try:
        moved = move(route_of(shown, name))
    except ValueError as error:
        raise ServiceError(str(error)) from None
    _put(client, name, moved.terms, shown["version"])


def _put(client: ServiceClient, name: str, terms: RouteTerms, version: int) -> None:
    with Console(stderr=True).status("a lane that is new has to score a document first"):
        changed = client.put_route(name, terms.model_dump(mode="json"), version)
    _tell(changed)


def _tell(changed: Mapping[str, Any]) -> None:
    Console().print(f"version {changed['version']}: {escape(changed['what'])}", highlight=False)
