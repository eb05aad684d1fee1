"""A report as one HTML file: a title, tiles, charts and tables in; a page out that loads nothing. No script in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from loadtest.charts import Chart, draw
from loadtest.figures import Figures, figures
from loadtest.grids import Grid, grids
from loadtest.plots import plots
from loadtest.samples import Run
from loadtest.wording import counts, milliseconds, number, share, warnings

TEMPLATE = "page.html.j2"


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure, large."""

    value: str
    name: str
    detail: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """What is on it, from top to bottom."""

    title: str
    subtitle: str
    warnings: Sequence[str]
    tiles: Sequence[Tile]
    charts: Sequence[Chart]
    grids: Sequence[Grid]


def page_of(run: Run) -> Page:
    """Of one run."""
    found = figures(run)
    subtitle = f"scenario {found.scenario}, {run.seconds:g} s from {found.began_at}, {found.url}"
    return Page(found.target, subtitle, warnings(found), tiles(found), plots(run), grids(run, found))


def tiles(found: Figures) -> list[Tile]:
    """What is looked at first."""
    whole, spread = found.whole, found.whole.latency
    p50, p99 = (spread.p50, spread.p99) if spread else (None, None)
    slow = found.slo_ms is not None and p99 is not None and p99 > found.slo_ms
    told = [
        Tile(milliseconds(p50), "p50", "latency from when due"),
        Tile(milliseconds(p99), "p99", f"limit {milliseconds(found.slo_ms)}", bad=slow),
        Tile(number(whole.answered.requests), "requests/s", f"{number(whole.offered.requests)} offered"),
        Tile(number(whole.answered.documents), "documents/s", f"{number(whole.offered.documents)} offered"),
    ]
    if whole.goodput is not None:
        told.append(Tile(share(whole.goodput.share), "good", f"{number(whole.goodput.requests)} requests/s in time"))
    failed = counts(whole.failures) if whole.failures else f"of {whole.requests:,} requests"
    told.append(Tile(number(whole.failed), "failed", failed, bad=whole.failed > 0))
    own = found.generator
    detail = f"p99 {milliseconds(own.late_p99_ms)} late, {share(own.cpu_share)} of a core"
    return [*told, Tile("LATE" if own.late else "in time", "load generator", detail, bad=own.late)]


def write_page(page: Page, path: Path) -> None:
    """As a file that can be sent to anybody; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(page), encoding="utf-8")


def render(page: Page) -> str:
    """The page's markup; the words of a run are escaped."""
    folder = FileSystemLoader(Path(__file__).parent)
    known = Environment(loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    # ElementTree escaped what is in the drawings.
    drawn = [(chart, Markup(draw(chart))) for chart in page.charts]
    return known.get_template(TEMPLATE).render(page=page, drawn=drawn) + "\n"
