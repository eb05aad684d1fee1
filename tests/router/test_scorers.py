"""What the router makes of Ray's failures. The handle is a fake; on real Ray see tests/test_service.py."""

import asyncio
from collections.abc import Generator
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

from serve_app.catalog import Catalog, Variant
from serve_app.errors import (
    DeadlineExceeded,
    EngineFailure,
    Overloaded,
    RerankError,
    ScorerLost,
    WeightsUnavailable,
)
from serve_app.router.scorers import BY_VALUE_CHARACTERS, RayScorers
from serve_app.scoring import ScoreJob, ScoreOutcome, Timings

pytestmark = pytest.mark.anyio
OUTCOME = ScoreOutcome((1.0,), 3, 1, Timings(0.0, 0.0, 0.0))
LOST = ActorUnavailableError("at 10.0.0.7", b"0" * 16)


class FakeResponse:
    """A DeploymentResponse that ends as it was told, or never when told nothing."""

    def __init__(self, ends: ScoreOutcome | Exception | None) -> None:
        self._ends = ends
        self.cancelled = False

    def __await__(self) -> Generator[Any, None, ScoreOutcome]:
        if self._ends is None:
            yield from asyncio.sleep(60).__await__()
        if isinstance(self._ends, Exception):
            raise self._ends
        assert self._ends is not None
        return self._ends

    def cancel(self) -> None:
        self.cancelled = True


class FakeHandle:
    """A DeploymentHandle with one method, `score`, whose answers are given in advance."""

    def __init__(self, *ends: ScoreOutcome | Exception | None) -> None:
        self.responses = [FakeResponse(end) for end in ends]
        self._next = iter(self.responses)
        self.sent: list[str] = []

    @property
    def score(self) -> "FakeMethod":
        return FakeMethod(self, "by reference")

    def options(self, *, _by_reference: bool) -> "FakeHandle":
        assert not _by_reference
        return FakeHandleByValue(self)

    def next_response(self, way: str) -> FakeResponse:
        self.sent.append(way)
        return next(self._next)


class FakeHandleByValue(FakeHandle):
    def __init__(self, handle: FakeHandle) -> None:
        self._handle = handle

    @property
    def score(self) -> "FakeMethod":
        return FakeMethod(self._handle, "by value")


class FakeMethod:
    def __init__(self, handle: FakeHandle, way: str) -> None:
        self._handle, self._way = handle, way

    def remote(self, job: ScoreJob) -> FakeResponse:
        return self._handle.next_response(self._way)


@pytest.fixture
def variant(catalog: Catalog) -> Variant:
    return catalog.variants["minilm-l6"]


async def _score(variant: Variant, handle: Any, timeout_s: float = 30.0, document: str = "d") -> ScoreOutcome:
    scorers = RayScorers({variant.name: handle}, "rerank")
    return await scorers.score(variant, ScoreJob(("q",), (document,), timeout_s))


def _in_replica(cause: Exception) -> Exception:
    """As it crosses a handle: Ray's error and ours at once, whose text is a traceback with pid and address."""
    both: Exception = RayTaskError("score", "Traceback: pid=1, ip=10.0.0.7", cause).as_instanceof_cause()
    return both


async def test_an_outcome_comes_through(variant: Variant) -> None:
    assert await _score(variant, FakeHandle(OUTCOME)) is OUTCOME


async def test_what_a_message_cannot_hold_goes_through_the_object_store(variant: Variant) -> None:
    handle = FakeHandle(OUTCOME, OUTCOME)
    await _score(variant, handle, document="😀" * (BY_VALUE_CHARACTERS - 1))
    await _score(variant, handle, document="😀" * BY_VALUE_CHARACTERS)
    assert handle.sent == ["by value", "by reference"]


@pytest.mark.parametrize("lost", [LOST, ActorDiedError()])
async def test_a_lost_replica_is_tried_again_once(variant: Variant, lost: Exception) -> None:
    assert await _score(variant, FakeHandle(lost, OUTCOME)) is OUTCOME
    with pytest.raises(ScorerLost, match="two replicas of cross-encoder/ms-marco-MiniLM-L6-v2 were lost"):
        await _score(variant, FakeHandle(lost, lost, OUTCOME))


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (_in_replica(WeightsUnavailable("put them there")), WeightsUnavailable),
        (_in_replica(ZeroDivisionError("/secret")), EngineFailure),
        (BackPressureError(num_queued_requests=9, max_queued_requests=8), Overloaded),
        (DeploymentUnavailableError(None), ScorerLost),  # type: ignore[arg-type]
    ],
)
async def test_rays_errors_become_ours_and_tell_nothing(
    variant: Variant, raised: Exception, expected: type[RerankError]
) -> None:
    with pytest.raises(expected) as caught:
        await _score(variant, FakeHandle(raised))
    assert type(caught.value) is expected
    for secret in ("10.0.0.7", "pid=", "Traceback", "secret"):
        assert secret not in str(caught.value)


async def test_at_the_deadline_the_replica_is_told_to_stop(variant: Variant) -> None:
    handle = FakeHandle(None)
    with pytest.raises(DeadlineExceeded, match=r"within 0\.01 s"):
        await _score(variant, handle, timeout_s=0.01)
    assert handle.responses[0].cancelled


async def test_a_caller_that_hangs_up_stops_the_replica(variant: Variant) -> None:
    handle = FakeHandle(None)
    task = asyncio.create_task(_score(variant, handle))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert handle.responses[0].cancelled
