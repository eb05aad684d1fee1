"""`rerank query`: rank the lines of files by a query, with a running service."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from serve_app.cli.client import ServiceClient, ServiceError

STDIN = Path("-")


def query(
    text: Annotated[str, typer.Argument(metavar="QUERY", help="What to rank by.")],
    files: Annotated[list[Path], typer.Argument(metavar="FILE...|-", help="Documents, one a line; - is stdin.")],
    model: Annotated[str | None, typer.Option(help="Variant, alias or tier:NAME. Default: the default route.")] = None,
    top_n: Annotated[int | None, typer.Option(min=1, help="Show only the best N.")] = None,
    url: Annotated[
        str | None, typer.Option(help="The service. Default: RERANK_URL, else http://127.0.0.1:8000.")
    ] = None,
) -> None:
    """Rank the lines of files by a query."""
    lines = [(file, number, line) for file in files for number, line in _lines(file)]
    found = [(f"{file}:{number}" if len(files) > 1 else str(number), line) for file, number, line in lines]
    if not found:
        raise ServiceError("there are no documents: the files hold no lines")
    reply = ServiceClient(url).rerank(text, [line for _, line in found], model, top_n)
    table = Table(box=None, header_style="bold", pad_edge=False)
    table.add_column("rank", justify="right")
    table.add_column("score", justify="right")
    table.add_column("line", justify="right")
    table.add_column("document", overflow="fold")
    for rank, result in enumerate(reply["results"], 1):
        place, line = found[result["index"]]
        table.add_row(str(rank), f"{result['relevance_score']:.4f}", escape(place), escape(line))
    console = Console()
    console.print(table)
    console.print(f"[dim]{reply['model']}, {reply['usage']['total_tokens']} tokens[/dim]")


def _lines(file: Path) -> list[tuple[int, str]]:
    """Number, from 1, and text of each line that is not blank."""
    try:
        content = sys.stdin.read() if file == STDIN else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ServiceError(f"{file} cannot be read: {error}") from None
    return [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
