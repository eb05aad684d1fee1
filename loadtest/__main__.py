"""`python -m loadtest COMMAND`: scenarios against services."""

import typer

from loadtest.run import run

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(run)


@app.callback()
def loadtest() -> None:
    """Measure services that rerank, over HTTP."""


if __name__ == "__main__":
    app()
