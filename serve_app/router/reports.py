"""What a router tells the desk about its lanes, and what the desk tells whoever looks at them.

Plain frozen values: they cross Ray where there are several routers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from serve_app.router.book import Book
from serve_app.router.tally import Tally

LaneName = tuple[str, str]
"""A route, and the variant of one of its lanes."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A request whose documents a shadow, or a canary's baseline, ordered otherwise than the answer."""

    route: str
    request_id: str
    answered: str
    """The variant whose order the caller got."""
    compared: str
    tau: float
    query: str
    answered_first: tuple[str, ...]
    """Beginnings of its best documents."""
    compared_first: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What one router's lanes and shadows did since its last report."""

    router: str
    lanes: Mapping[LaneName, Tally] = field(default_factory=dict)
    shadows: Mapping[LaneName, Tally] = field(default_factory=dict)
    disagreements: tuple[Disagreement, ...] = ()


@dataclass(frozen=True, slots=True)
class Sight:
    """What the desk knows: the book, and what each lane did since its route was changed."""

    book: Book
    lanes: Mapping[LaneName, Tally]
    shadows: Mapping[LaneName, Tally]
    evidence: Mapping[str, Mapping[str, float]]
    """Against the canary of each route that has one, by limit: at 1 it is aborted."""
