"""What each variant can do, as it was last seen: at once where that is recent, for requests cannot wait for Ray.

Looking takes about 100 ms with 16 deployments, and up to 2 s while a replica starts. So what was seen is answered with,
and somebody looks meanwhile; what is too old to go by is waited for. It knows no handle: how to look is an argument.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from serve_app.catalog import Variant
from serve_app.scoring import ScorerState

LOOK_EVERY_S = 1.0
TOO_OLD_S = 10.0
_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log


class RollCall:
    """The states of these variants. It looks only when it is asked, so that an idle service stays idle."""

    def __init__(
        self,
        variants: Sequence[Variant],
        look: Callable[[Sequence[Variant]], Awaitable[Sequence[ScorerState]]],
        clock: Callable[[], float],
    ) -> None:
        self._variants = variants
        self._look_at = look
        self._clock = clock
        self._seen: Mapping[str, ScorerState] = {}
        self._seen_at = -TOO_OLD_S
        self._looking: asyncio.Task[None] | None = None

    async def states(self) -> Mapping[str, ScorerState]:
        """By the variants' names, at most TOO_OLD_S old."""
        age_s = self._clock() - self._seen_at
        if age_s >= LOOK_EVERY_S and self._looking is None:
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(self._looked)
        if age_s >= TOO_OLD_S and self._looking is not None:
            await asyncio.shield(self._looking)  # others may wait for it when this caller goes
        return self._seen

    async def _look(self) -> None:
        found = await self._look_at(self._variants)
        self._seen = {variant.name: state for variant, state in zip(self._variants, found, strict=True)}
        self._seen_at = self._clock()

    def _looked(self, task: asyncio.Task[None]) -> None:
        self._looking = None
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.warning("what the variants can do could not be seen", exc_info=error)
