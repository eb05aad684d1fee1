"""How a key stands with its limits of a minute. A window's counts come in; what is left, and when, goes out.

Pure: it knows no clock, no storage, and no rule but the sliding window counter's, which `limits` counts by.
"""

import math
from dataclasses import dataclass

from serve_app.errors import RateLimited

_SLACK_S = 0.01
"""Redis rounds to milliseconds, and a client that waited must not be refused for one."""


@dataclass(frozen=True, slots=True)
class Window:
    """Hits of this window and the last one, as `get_sliding_window` of `limits` gives them, and a window's length."""

    previous: int
    previous_s: float
    """How long the last window still counts, and ever less."""
    current: int
    current_s: float
    """How long this window still counts: until its own end, and a length more."""
    length_s: float

    def left(self, limit: int) -> int:
        """How much may be had now."""
        return max(0, limit - self.current - math.floor(self.previous * self.previous_s / self.length_s))

    def wait_s(self, limit: int, cost: int) -> float:
        """In how many seconds `cost` will fit within `limit`, when nothing else is had before."""
        if cost <= self.left(limit):
            return 0.0
        room = limit - cost - self.current
        if room >= 0:
            return self.previous_s - self._faded_s(self.previous, room) + _SLACK_S
        until_its_end_s = max(0.0, self.current_s - self.length_s)
        fading_s = max(0.0, self.length_s - self._faded_s(self.current, limit - cost))
        return until_its_end_s + fading_s + _SLACK_S

    def _faded_s(self, hits: int, room: int) -> float:
        """How long before a past window stops counting its hits fit in `room`: a fraction of a hit is not counted."""
        return (room + 1) * self.length_s / max(1, hits)


@dataclass(frozen=True, slots=True)
class Remaining:
    """What is left of one limit."""

    limit: int
    remaining: int
    reset_s: float
    """In how many seconds all of it may be had again, when nothing is had before."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left of a key's limits of a minute; None where it has no such limit."""

    requests: Remaining | None = None
    documents: Remaining | None = None

    def headers(self) -> dict[str, str]:
        """As OpenAI names and writes them; a time is a Go duration, so "12s" or "6.2s"."""
        headers = {}
        for name, left in (("requests", self.requests), ("documents", self.documents)):
            if left is not None:
                headers[f"x-ratelimit-limit-{name}"] = str(left.limit)
                headers[f"x-ratelimit-remaining-{name}"] = str(left.remaining)
                headers[f"x-ratelimit-reset-{name}"] = f"{math.ceil(left.reset_s * 10) / 10:g}s"
        return headers


class LimitReached(RateLimited):
    """RateLimited, with the standing that the reply's headers tell."""

    def __init__(self, message: str, param: str | None, retry_after_s: float, standing: Standing) -> None:
        super().__init__(message, param, retry_after_s)
        self.args = (message, param, retry_after_s, standing)  # what unpickling calls the class with
        self.standing = standing
