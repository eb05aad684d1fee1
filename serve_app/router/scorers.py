"""The scorers as the router sees them: the only file that touches a Ray handle.

Job in, outcome or one of our errors out: deadline, cancellation, one retry when a replica dies (reranking has no
side effects), and nothing of Ray's own words, which hold addresses and process ids.
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from ray import serve
from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle
from ray.serve.schema import DeploymentStatusOverview

from serve_app.catalog import Variant
from serve_app.errors import DeadlineExceeded, EngineFailure, Overloaded, RerankError, ScorerLost
from serve_app.scoring import ScoreJob, ScoreOutcome, ScorerState

STATUS_KEPT_S = 1.0
"""Ray's status of 16 deployments takes about 100 ms to get (2.60.0), and probes ask often."""
DESCRIBE_WITHIN_S = 2.0
BY_VALUE_CHARACTERS = 900_000
"""Jobs of so many characters go to a replica by value: 1.6 ms instead of 2.5 through the object store (p50 of 100
passages, two cores). A message may have 4 MiB, and a character four bytes."""
_BROKEN = frozenset({"UNHEALTHY", "DEPLOY_FAILED"})
_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log


class RayScorers:
    """One deployment handle a variant, by the variant's name."""

    def __init__(self, handles: Mapping[str, DeploymentHandle[Any]], app_name: str) -> None:
        self._handles = handles
        self._by_value = {name: handle.options(_by_reference=False) for name, handle in handles.items()}
        self._app_name = app_name
        self._described: dict[str, ScorerState] = {}
        self._status: dict[str, DeploymentStatusOverview] = {}
        self._status_from = -STATUS_KEPT_S
        self._asking = asyncio.Lock()

    async def score(self, variant: Variant, job: ScoreJob) -> ScoreOutcome:
        """Logits of the job's documents, within the job's time."""
        try:
            async with asyncio.timeout(job.timeout_s):
                return await self._score_or_retry(variant, job)
        except TimeoutError:
            raise DeadlineExceeded(
                f"{variant.id} did not answer within {job.timeout_s:g} s: send fewer documents, or allow more time"
            ) from None
        except BackPressureError:
            raise Overloaded(f"{variant.id} has more requests waiting than it may hold: try again") from None
        except DeploymentUnavailableError:
            raise ScorerLost(f"the replicas of {variant.id} cannot start; the service's log says why") from None
        except RayTaskError as error:
            raise _unwrapped(error) from None

    async def state(self, variants: Sequence[Variant]) -> list[ScorerState]:
        """What each variant can do now; an idle one stays idle."""
        overviews = await self._overviews()
        return list(await asyncio.gather(*(self._state_of(v.name, overviews[v.name]) for v in variants)))

    async def _score_or_retry(self, variant: Variant, job: ScoreJob) -> ScoreOutcome:
        try:
            return await self._ask(variant, job)
        except RayActorError as error:
            _log.warning("a replica of %s was lost (%s): trying another", variant.name, type(error).__name__)
        try:
            return await self._ask(variant, job)
        except RayActorError:
            raise ScorerLost(f"two replicas of {variant.id} were lost while they scored: try again") from None

    async def _ask(self, variant: Variant, job: ScoreJob) -> ScoreOutcome:
        by_value = sum(map(len, (*job.queries, *job.documents))) <= BY_VALUE_CHARACTERS
        response = (self._by_value if by_value else self._handles)[variant.name].score.remote(job)
        try:
            outcome: ScoreOutcome = await response
        except asyncio.CancelledError:
            # By itself Ray cancels it only when the whole request is, not at our deadline.
            response.cancel()  # type: ignore[no-untyped-call]
            raise
        return outcome

    async def _overviews(self) -> Mapping[str, DeploymentStatusOverview]:
        async with self._asking:
            if time.monotonic() - self._status_from >= STATUS_KEPT_S:
                status = await asyncio.to_thread(serve.status)
                self._status = status.applications[self._app_name].deployments
                self._status_from = time.monotonic()
        return self._status

    async def _state_of(self, name: str, overview: DeploymentStatusOverview) -> ScorerState:
        # Typed as an enumeration, and in fact text (ray 2.60.0).
        states = cast(Mapping[str, int], overview.replica_states)
        replicas = states.get("RUNNING", 0)
        if not replicas:
            self._described.pop(name, None)
            if overview.status in _BROKEN:
                return ScorerState("unavailable", reason="its replicas cannot start; the service's log says why")
            return ScorerState("starting" if states else "idle")
        known = self._described.get(name)
        # A replica that is ready is not asked again: each question counts as traffic, and would keep it from
        # scaling to zero.
        if known is None or known.status != "ready":
            self._described[name] = known = await self._describe(name)
        return ScorerState(known.status, replicas, known.device, known.dtype, known.reason)

    async def _describe(self, name: str) -> ScorerState:
        try:
            async with asyncio.timeout(DESCRIBE_WITHIN_S):
                described: ScorerState = await self._handles[name].describe.remote()
        except (TimeoutError, RayActorError, BackPressureError, DeploymentUnavailableError):
            return ScorerState("starting")
        return described


def _unwrapped(error: RayTaskError) -> RerankError:
    """Our error that a replica raised; its text as Ray shows it is a traceback with the replica's address."""
    if isinstance(error.cause, RerankError):
        return error.cause
    _log.error("a scorer failed unexpectedly: %s", error)
    return EngineFailure("scoring failed inside the replica; the service's log says why")
