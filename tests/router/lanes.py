"""A house whose scorers are good and bad lanes of a route."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from serve_app.catalog import Variant
from serve_app.errors import RerankError
from serve_app.router.caller import EVERYBODY, Caller
from serve_app.routes import GuardLimits, Lane, Route
from serve_app.scoring import ScoreJob, ScoreOutcome
from tests.fakes import FakeScorers
from tests.router.building import House

CALLERS: dict[str | None, Caller] = {
    None: EVERYBODY,
    "plain": Caller("plain"),
    "tester": Caller("tester", may_choose_lane=True),
    "six": Caller("six", models=frozenset({"minilm-l6"})),
    "search": Caller("search", models=frozenset({"search"})),
    "mine": Caller("mine", default_model="search"),
}
BODY: dict[str, Any] = {"model": "search", "query": "q", "documents": ["a", "bb", "ccc"]}
L6, L12 = "cross-encoder/ms-marco-MiniLM-L6-v2", "cross-encoder/ms-marco-MiniLM-L12-v2"


class LaneScorers(FakeScorers):
    """Each variant can fail, take its time, or order documents the other way."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: dict[str, RerankError] = {}
        self.inverted: set[str] = set()
        self.held: dict[str, asyncio.Event] = {}

    async def score(self, variant: Variant, job: ScoreJob) -> ScoreOutcome:
        outcome = await super().score(variant, job)
        if variant.name in self.held:
            await self.held[variant.name].wait()
        if variant.name in self.failing:
            raise self.failing[variant.name]
        if variant.name in self.inverted:
            logits = tuple(-logit for logit in outcome.logits)
            return ScoreOutcome(logits, outcome.tokens, outcome.pairs, outcome.timings, outcome.load)
        return outcome


class LaneHouse(House):
    scorers: LaneScorers


async def declare(house: House, *routes: Route) -> None:
    table = house.switchboard.book.table
    for route in routes:
        table = table.with_route(route)
    house.switchboard.take(await house.desk.declare(table))


def route(canary: float | None = None, name: str = "search", **terms: Any) -> Route:
    route = Route(name=name, lanes=(Lane(variant="minilm-l6", weight=100),), **terms)
    return route if canary is None else route.with_canary("minilm-l12", canary, GuardLimits(compare=1.0))


async def ask(house: House, headers: Mapping[str, str] | None = None, /, **fields: Any) -> httpx.Response:
    path = fields.pop("path", "/v1/rerank")
    async with house.client() as client:
        return await client.post(path, json={**BODY, **fields}, headers=dict(headers or {}))
