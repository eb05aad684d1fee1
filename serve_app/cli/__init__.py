"""The command line, `rerank`: one file a command. Parse, call, print."""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from serve_app.cli.evaluate import evaluate
from serve_app.cli.k8s import k8s
from serve_app.cli.keys import keys
from serve_app.cli.models import models
from serve_app.cli.plan import plan
from serve_app.cli.pull import pull
from serve_app.cli.query import query
from serve_app.cli.rollout import rollout
from serve_app.cli.routes import routes
from serve_app.cli.serve import serve
from serve_app.cli.usage import usage
from serve_app.cli.verify import verify
from serve_app.errors import RerankError
from serve_app.scorer.bench import bench

app = typer.Typer(
    help="Rerank documents with the MS MARCO cross-encoders: fetch them, serve them, ask them, measure them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(serve)
app.command()(models)
app.command()(pull)
app.command()(verify)
app.command()(query)
app.command(name="eval")(evaluate)
app.command()(plan)
app.command()(usage)
app.add_typer(keys, name="keys")
app.add_typer(routes, name="routes")
app.command()(rollout)
app.add_typer(k8s, name="k8s")
app.command()(bench)


def main() -> None:
    """Run the command line; what went wrong is one sentence on stderr, and exit code 1."""
    try:
        app()
    except RerankError as error:
        Console(stderr=True).print("[red]error:[/red]", escape(str(error)), highlight=False, soft_wrap=True)
        sys.exit(1)
