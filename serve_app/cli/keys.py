"""`rerank keys`: create, list, revoke and rotate the API keys of a file that `rerank serve` reads."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from serve_app.catalog import Catalog, Served
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.errors import ConfigurationError
from serve_app.key_file import (
    DialectName,
    IssuedKey,
    KeyRecord,
    KeyTerms,
    Scope,
    add_key,
    read_keys,
    revoke_key,
    rotate_key,
)
from serve_app.settings import read_settings

MOST_DAYS = 36_500
MOST_HOURS = 24 * 365

File = Annotated[
    Path | None, typer.Option(metavar="PATH", help="The key file. Default: RERANK_KEYS, else keys.json here.")
]
Identity = Annotated[str, typer.Argument(metavar="ID", help="The 12 characters between the key's underscores.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is, for people; `list` shows it.")]
Scopes = Annotated[list[Scope] | None, typer.Option(help="What it may do. Repeatable.", show_default="rerank")]
Models = Annotated[
    list[str] | None, typer.Option(help="A variant it may use, by any of its names. Repeatable.", show_default="all")
]
DefaultModel = Annotated[
    str | None, typer.Option(help="Answers its requests that name no model.", show_default="the catalog's")
]
Dialect = Annotated[
    DialectName | None, typer.Option(help="How its requests are read where path and body leave several ways.")
]
Limit = Annotated[int | None, typer.Option(min=1, metavar="N", show_default="no limit")]
Budget = Annotated[float | None, typer.Option(metavar="USD", show_default="no limit")]
Days = Annotated[int | None, typer.Option(min=1, max=MOST_DAYS, metavar="N", show_default="never")]
Hours = Annotated[
    int, typer.Option(min=0, max=MOST_HOURS, metavar="N", help="How long the old secret is accepted beside the new.")
]

keys = typer.Typer(
    help="""API keys: who may ask the service, for what and how much.

    A service that was started with the file (RERANK_KEYS) follows its changes within two seconds.""",
    no_args_is_help=True,
)


@keys.command()
def create(
    name: Name,
    scope: Scopes = None,
    model: Models = None,
    default_model: DefaultModel = None,
    dialect: Dialect = None,
    requests_per_minute: Limit = None,
    documents_per_minute: Limit = None,
    concurrent_documents: Limit = None,
    monthly_budget_usd: Budget = None,
    expires_in_days: Days = None,
    file: File = None,
) -> None:
    """Make a key and print it, alone on stdout: `KEY=$(rerank keys create web)`. It is shown only this once."""
    now, path = _now(), _path(file)
    _check_models(model or (), default_model)
    with _refusals():
        terms = KeyTerms(
            name=name,
            scopes=tuple(scope or [Scope.RERANK]),
            models=tuple(model) if model else None,
            default_model=default_model,
            dialect=dialect,
            requests_per_minute=requests_per_minute,
            documents_per_minute=documents_per_minute,
            concurrent_documents=concurrent_documents,
            monthly_budget_usd=monthly_budget_usd,
            expires=now + timedelta(days=expires_in_days) if expires_in_days else None,
        )
    _show_once(add_key(path, terms, now), path)


@keys.command(name="list")
def list_keys(file: File = None) -> None:
    """Show the keys, without their secrets, which the file does not hold."""
    records, now = read_keys(_path(file)), _now()
    table = Table(box=None, header_style="bold", pad_edge=False)
    for heading in ("id", "name", "scopes", "models", "limits", "budget", "created", "state"):
        table.add_column(heading, no_wrap=heading in ("id", "created", "state"), overflow="fold")
    for record in records:
        table.add_row(*map(escape, _cells(record, now)))
    Console().print(table, highlight=False)


@keys.command()
def revoke(identity: Identity, file: File = None) -> None:
    """End a key for good."""
    record = revoke_key(_path(file), identity, _now())
    _tell(f"the key {record.id} of {record.name} is revoked")


@keys.command()
def rotate(identity: Identity, overlap_hours: Hours = 0, file: File = None) -> None:
    """Give a key a new secret and print it, alone on stdout; id, name and limits stay. It is shown only this once."""
    _show_once(rotate_key(_path(file), identity, _now(), timedelta(hours=overlap_hours)), _path(file))


def _now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _path(file: Path | None) -> Path:
    return file or read_settings().keys or Path("keys.json")


def _show_once(issued: IssuedKey, path: Path) -> None:
    typer.echo(issued.text)
    _tell(f"the key of {issued.record.name}, shown only this once; {path} holds a hash of it")


def _tell(sentence: str) -> None:
    Console(stderr=True).print(escape(sentence), highlight=False, soft_wrap=True)


@contextmanager
def _refusals() -> Iterator[None]:
    """Say what is wrong with an option in one sentence."""
    try:
        yield
    except ValidationError as error:
        raise ConfigurationError("; ".join(f"{e['loc'][0]}: {e['msg']}" for e in error.errors())) from None


def _check_models(names: Sequence[str], default: str | None) -> None:
    """Refuse names that the catalog does not have, and a default that the key may not use."""
    if not names and default is None:
        return  # and a catalog that is wrong is no reason to make no key
    catalog = load_catalog(read_settings().catalog or default_catalog_path())
    allowed = {_named(catalog, name).name for name in names} or set(catalog.names.values())
    if default is not None and _named(catalog, default).name not in allowed:
        raise ConfigurationError(f"the default model {default} is not among the models that the key may use")


def _named(catalog: Catalog, name: str) -> Served:
    if (served := catalog.find(name)) is None:
        nearest = dict.fromkeys(catalog.names[n] for n in get_close_matches(name.casefold(), catalog.names, n=6))
        told = f"the nearest names are {', '.join(nearest)}; " if nearest else ""
        raise ConfigurationError(f"the catalog has no model {name!r}; {told}`rerank models` lists them")
    return served


def _cells(record: KeyRecord, now: datetime) -> tuple[str, ...]:
    allowed = ", ".join(record.models) if record.models else "all"
    limits = (
        (record.requests_per_minute, "requests/min"),
        (record.documents_per_minute, "documents/min"),
        (record.concurrent_documents, "documents at once"),
    )
    state = record.state(now)
    return (
        record.id,
        record.name,
        ", ".join(record.scopes),
        allowed if record.default_model is None else f"{allowed}; default {record.default_model}",
        ", ".join(f"{most:,} {of}" for most, of in limits if most) or "–",
        "–" if record.monthly_budget_usd is None else f"{record.monthly_budget_usd:,.2f} $/month",
        f"{record.created:%Y-%m-%d}",
        f"valid to {record.expires:%Y-%m-%d}" if state == "valid" and record.expires else state,
    )
