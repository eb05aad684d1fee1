"""Routes as `/admin/routes` shows them: what they are, what their lanes do, what was changed."""

from collections.abc import Sequence

from pydantic import BaseModel, Field

from serve_app.router.book import Book, Change
from serve_app.router.reports import Disagreement, Sight
from serve_app.router.tally import Tally
from serve_app.routes import Route, RouteTerms

CHANGES_SHOWN = 20


class Seen(BaseModel):
    """What a lane or a shadow did since its route was changed."""

    variant: str
    share: float | None = Field(description="Of the route's requests, from 0 to 1; null for a shadow.")
    canary: bool
    requests: int
    failures: int = Field(description="Requests that it could not answer, by no fault of theirs.")
    p50_ms: float | None
    p99_ms: float | None
    compared: int = Field(
        description="Orders that were compared: a canary's with the baseline's, a shadow's with the answer's."
    )
    mean_tau: float | None = Field(description="Kendall's tau of compared orders: 1 the same, -1 the inverse.")


class RouteSeen(BaseModel):
    """A route, and what it does."""

    name: str
    terms: RouteTerms = Field(description="What PUT takes.")
    lanes: list[Seen]
    shadows: list[Seen]
    evidence: dict[str, float] = Field(description="Against the canary, by limit: at 1 its weight is taken.")


class ChangeSeen(BaseModel):
    """One change, by whom, and when (Unix seconds)."""

    version: int
    at: float
    who: str
    what: str


class RoutesReply(BaseModel):
    """All routes."""

    version: int
    routes: list[RouteSeen]
    changes: list[ChangeSeen] = Field(description=f"The last {CHANGES_SHOWN}, the newest first.")


class ChangedReply(BaseModel):
    """What the routes are after a change."""

    version: int
    what: str


class DisagreementSeen(BaseModel):
    """A request whose documents were ordered otherwise than the caller got them."""

    request_id: str
    answered: str
    compared: str
    tau: float
    query: str
    answered_first: list[str]
    compared_first: list[str]


class DisagreementsReply(BaseModel):
    """The worst of a route since it was changed, the worst first."""

    data: list[DisagreementSeen]


def describe(sight: Sight) -> RoutesReply:
    """All there is to see."""
    book = sight.book
    return RoutesReply(
        version=book.version,
        routes=[_route(route, sight) for route in book.table.routes.values()],
        changes=[_change(change) for change in reversed(book.changes[-CHANGES_SHOWN:])],
    )


def describe_change(book: Book) -> ChangedReply:
    """The last change."""
    return ChangedReply(version=book.version, what=book.changes[-1].what)


def describe_disagreements(found: Sequence[Disagreement]) -> DisagreementsReply:
    """In the same order."""
    return DisagreementsReply(
        data=[
            DisagreementSeen(
                request_id=each.request_id,
                answered=each.answered,
                compared=each.compared,
                tau=each.tau,
                query=each.query,
                answered_first=list(each.answered_first),
                compared_first=list(each.compared_first),
            )
            for each in found
        ]
    )


def _route(route: Route, sight: Sight) -> RouteSeen:
    canary = route.canary
    return RouteSeen(
        name=route.name,
        terms=route.terms,
        lanes=[
            _seen(lane.variant, sight.lanes.get((route.name, lane.variant)), route.share(lane), lane is canary)
            for lane in route.lanes
        ],
        shadows=[_seen(s.variant, sight.shadows.get((route.name, s.variant)), None, False) for s in route.shadows],
        evidence=dict(sight.evidence.get(route.name, {})),
    )


def _seen(variant: str, tally: Tally | None, share: float | None, canary: bool) -> Seen:
    tally = tally or Tally()
    return Seen(
        variant=variant,
        share=share,
        canary=canary,
        requests=tally.requests,
        failures=tally.failures,
        p50_ms=tally.p50_ms,
        p99_ms=tally.p99_ms,
        compared=tally.comparisons,
        mean_tau=tally.agreement,
    )


def _change(change: Change) -> ChangeSeen:
    return ChangeSeen(version=change.version, at=change.at, who=change.who, what=change.what)
