"""`python -m loadtest COMMAND`: scenarios against services."""

import typer

from loadtest.compare import compare
from loadtest.report import report
from loadtest.run import run
from loadtest.saturation import saturation

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
app.command()(run)
app.command()(report)
app.command()(compare)
app.command()(saturation)


@app.callback()
def loadtest() -> None:
    """Measure services that rerank, over HTTP."""


if __name__ == "__main__":
    app()
