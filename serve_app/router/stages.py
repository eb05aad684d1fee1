"""Runs the stages of an answer, one after the other. Steps and a request come in, what each of them scored goes out.

It holds the one deadline of a request: a stage has the time that those before it left. Where a stage fails, the request
fails with its error, since an order that a caller did not ask for would look like the one that it did. It knows neither
the catalog nor how scores become an order.
"""

import time
from collections.abc import Awaitable, Callable, Sequence

from serve_app.catalog import Variant
from serve_app.errors import DeadlineExceeded, InputTooLong
from serve_app.router.cascade import Scored, Step, placed
from serve_app.router.ranking import RerankRequest
from serve_app.scoring import ScoreJob, ScoreOutcome

Score = Callable[[Variant, ScoreJob], Awaitable[ScoreOutcome]]


async def run(steps: Sequence[Step], request: RerankRequest, score: Score) -> list[Scored]:
    """Every step's outcome; raises what `score` raises, and DeadlineExceeded."""
    until = time.monotonic() + request.timeout_s
    left_s, places = request.timeout_s, tuple(range(len(request.asked.documents)))
    found: list[Scored] = []
    for step in steps:
        if left_s <= 0:
            raise DeadlineExceeded(f"no time was left for {step.variant.id}: send fewer documents, or allow more time")
        try:
            outcome = await score(step.variant, _job(request, places, left_s))
        except InputTooLong as error:
            raise placed(error, places) from None
        found.append(Scored(step, places, outcome))
        left_s, places = until - time.monotonic(), found[-1].kept()
    return found


def _job(request: RerankRequest, places: Sequence[int], left_s: float) -> ScoreJob:
    asked = request.asked
    return ScoreJob(asked.queries, tuple(asked.documents[place] for place in places), left_s, asked.reading)
