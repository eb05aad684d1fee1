"""A run on the terminal: figures in, what rich prints out."""

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from loadtest.figures import figures
from loadtest.grids import Grid, grids
from loadtest.samples import Run
from loadtest.wording import warnings


def summary(run: Run) -> Group:
    """All tables, but for the scenario's settings; what has to be known of them comes first."""
    found = figures(run)
    heading = Text(f"{found.target}: {found.scenario}, {run.seconds:g} s from {found.began_at}, {found.url}", "bold")
    shown = [grid for grid in grids(run, found) if grid.title != "Scenario"]
    return Group(heading, *cautions(warnings(found)), *(part for grid in shown for part in ("", shown_grid(grid))))


def cautions(said: Iterable[str]) -> list[RenderableType]:
    """In a colour that is seen."""
    return [Text(each, "yellow") for each in said]


def shown_grid(grid: Grid) -> Table:
    """As a table without lines."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, heading in enumerate(grid.headings):
        table.add_column(heading if place else grid.title, justify="right" if place else "left", no_wrap=place == 0)
    for row in grid.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
