"""What callers notice while an operator moves traffic. `python -m loadtest.traffic --help`.

Steady load on one route, at random times, while a canary starts, gets more weight and is promoted, bad canaries are
stopped by the service itself, and a change is taken back. Every request is kept with the model that answered it.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.live import Live

from loadtest.acts import Act, Change, Lane, Story, changes, lane, table
from loadtest.callers import Callers
from loadtest.listing import list_models
from loadtest.loops import arrivals, open_loop
from loadtest.questions import STAMP, questions_from, sized
from loadtest.service import Body, checked, client, write_bodies

USER = f"caller{STAMP}"
"""Another one each time: lanes are shared out by users, and of fifty questions five percent are two or three."""
LOOK_EVERY_S = 0.2
ABORTED_WITHIN_S = 180.0
AFTER_ABORT = 0.2
"""Of an act's time: how long callers are watched after a canary was stopped."""


class RouteOperator:
    """Changes one route over HTTP."""

    def __init__(self, http: httpx.AsyncClient, route: str) -> None:
        self._http = http
        self._route = route

    async def put(self, *lanes: Lane) -> None:
        """These lanes from now on."""
        checked(await self._http.put(f"/admin/routes/{self._route}", json={"lanes": lanes, "sticky": "user"}))

    async def undo(self) -> None:
        """The last change taken back."""
        checked(await self._http.post("/admin/routes/undo"))

    async def aborted_after_s(self, canary: str) -> float | None:
        """Seconds until the canary had no weight any more, or None when that took too long."""
        began = time.perf_counter()
        while (after_s := time.perf_counter() - began) < ABORTED_WITHIN_S:
            shown = checked(await self._http.get("/admin/routes")).json()
            [lanes] = [route["terms"]["lanes"] for route in shown["routes"] if route["name"] == self._route]
            if any(each["variant"] == canary and each["weight"] == 0 for each in lanes):
                return after_s
            await asyncio.sleep(LOOK_EVERY_S)
        return None


def traffic(
    baseline: Annotated[str, typer.Option(help="What answers at first.")],
    candidate: Annotated[str, typer.Option(help="A good canary, which is promoted.")],
    bad: Annotated[str, typer.Option(metavar="A,B", help="Canaries that the service should stop.")] = "",
    url: Annotated[str, typer.Option(help="The service.")] = "http://127.0.0.1:8000",
    key: Annotated[
        str | None, typer.Option(envvar="RERANK_API_KEY", help="A key with the scopes rerank, admin.")
    ] = None,
    route: Annotated[str, typer.Option(help="Is made, changed and left as the story ends.")] = "loadtest",
    run: Annotated[
        Path | None, typer.Option(help="Text: lines {query, candidates: [{text}]}, .gz or not. Default: made up.")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.1, help="Requests a second.")] = 10.0,
    documents: Annotated[int, typer.Option(min=2, help="Of a request.")] = 10,
    hold: Annotated[float, typer.Option(min=1, help="Seconds of each act.")] = 50.0,
    percent: Annotated[float, typer.Option(min=1, max=99, help="Of the requests, for a bad canary.")] = 20.0,
    to: Annotated[Path | None, typer.Option("--json", help="File for the figures.")] = None,
) -> None:
    """Move traffic under steady load, and count what callers notice."""
    story = Story(baseline, candidate, [name for name in bad.split(",") if name], hold, percent)
    bodies = write_bodies(sized(questions_from(run), documents), route, user=USER)
    acts = asyncio.run(play(url, key, route, story, bodies, rate))
    Console().print(table(acts), crop=False)
    if to is not None:
        to.write_text(json.dumps([asdict(act) for act in acts], indent=2) + "\n", encoding="utf-8")


async def play(url: str, key: str | None, route: str, story: Story, bodies: Sequence[Body], rate: float) -> list[Act]:
    """The whole story."""
    async with client(url, key) as http:
        ids = {name: model for model, name in (await list_models(http)).names.items()}
        operator, callers = RouteOperator(http, route), Callers(http)
        await operator.put(lane(story.baseline, 100))
        over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        loading = asyncio.create_task(open_loop(callers, cycle(bodies), arrivals(rate, 0), over))
        try:
            return await _acts(operator, callers, story, ids)
        finally:
            over.set_result(None)
            await loading


async def _acts(operator: RouteOperator, callers: Callers, story: Story, ids: Mapping[str, str]) -> list[Act]:
    acts: list[Act] = []
    with Live(console=Console(stderr=True), refresh_per_second=2) as live:
        for change in changes(operator, story):
            acts.append(await _act(change, operator, story.hold_s))
            acts[-1].see(callers.answers, {ids.get(name, name) for name in change.gone})
            live.update(table(acts))
    return acts


async def _act(change: Change, operator: RouteOperator, hold_s: float) -> Act:
    await change.make()
    began, aborted_after_s = time.perf_counter(), None
    if change.canary is not None:
        aborted_after_s = await operator.aborted_after_s(change.canary)
        hold_s *= AFTER_ABORT
    await asyncio.sleep(hold_s)
    return Act(change.name, began, time.perf_counter() - began, aborted_after_s)


if __name__ == "__main__":
    typer.run(traffic)
