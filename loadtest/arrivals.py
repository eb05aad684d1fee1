"""When requests are due: what a scenario says of it in, seconds since the run began out. No clock is read here.

Callers do not know of each other, so all patterns but `constant` and `replay` are Poisson processes. A pattern's rates
can be multiples of another rate, and are then scaled before the times are drawn.
"""

from collections.abc import Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, ValidationInfo, field_validator

from loadtest.loops import arrivals, ramp, varying


class Strict(BaseModel):
    """A part of a scenario: nothing is guessed, and no field is ignored."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, validate_by_name=True, serialize_by_alias=True)


class Due(NamedTuple):
    """One arrival."""

    at: float
    """Seconds since the run began."""
    documents: int | None = None
    """Of the request, where the arrivals say so; else the workload does."""


class Constant(Strict):
    """One every 1/rate seconds."""

    pattern: Literal["constant"]
    rate: PositiveFloat

    def scaled(self, rate: float) -> "Constant":
        """At this rate."""
        return Constant(pattern="constant", rate=rate)

    def dues(self, seconds: float, _: int) -> Iterator[Due]:
        """The first at once."""
        times = (number / self.rate for number in count())
        return map(Due, takewhile(lambda at: at < seconds, times))


class Poisson(Strict):
    """At random times, whatever came before."""

    pattern: Literal["poisson"]
    rate: PositiveFloat

    def scaled(self, rate: float) -> "Poisson":
        """At this rate."""
        return Poisson(pattern="poisson", rate=rate)

    def dues(self, seconds: float, seed: int) -> Iterator[Due]:
        """The same ones for a seed."""
        return map(Due, takewhile(lambda at: at < seconds, arrivals(self.rate, seed)))


class Ramp(Strict):
    """From one rate to another, in a straight line."""

    pattern: Literal["ramp"]
    start: NonNegativeFloat = Field(alias="from")
    to: PositiveFloat

    def scaled(self, rate: float) -> "Ramp":
        """With so many times the rates."""
        return Ramp(pattern="ramp", start=self.start * rate, to=self.to * rate)

    def dues(self, seconds: float, seed: int) -> Iterator[Due]:
        """Ever more, or ever fewer."""
        return map(Due, ramp(self.start, self.to, seconds, seed))


class Step(Strict):
    """A rate for a while."""

    name: str
    """Of the phase, for reports."""
    rate: NonNegativeFloat
    seconds: PositiveFloat


class Steps(Strict):
    """One rate after another."""

    pattern: Literal["steps"]
    steps: Annotated[list[Step], Field(min_length=1)]

    @property
    def seconds(self) -> float:
        """Of all steps."""
        return sum(step.seconds for step in self.steps)

    def scaled(self, rate: float) -> "Steps":
        """With so many times the rates."""
        return self._with([step.model_copy(update={"rate": step.rate * rate}) for step in self.steps])

    def stretched(self, seconds: float) -> "Steps":
        """As long as that in all; each step keeps its share."""
        by = seconds / self.seconds
        return self._with([step.model_copy(update={"seconds": step.seconds * by}) for step in self.steps])

    def dues(self, seconds: float, seed: int) -> Iterator[Due]:
        """Of each step at its own rate."""
        highest = max(step.rate for step in self.steps)
        return map(Due, varying(self._rate_at, highest, seconds, seed)) if highest else iter(())

    def _rate_at(self, at: float) -> float:
        for step in self.steps:
            if at < step.seconds:
                return step.rate
            at -= step.seconds
        return 0.0

    def _with(self, steps: list[Step]) -> "Steps":
        return self.model_copy(update={"steps": steps})


class Burst(Strict):
    """A base rate, and every so often a burst; the first comes after a whole period but its length."""

    pattern: Literal["burst"]
    rate: NonNegativeFloat
    burst_rate: PositiveFloat
    every: PositiveFloat
    """Seconds from burst to burst."""
    length: PositiveFloat = Field(alias="for")
    """Seconds of a burst."""

    @field_validator("length")
    @classmethod
    def _ends_before_the_next(cls, length: float, info: ValidationInfo) -> float:
        if length >= info.data.get("every", length + 1):
            raise ValueError("a burst has to end before the next one: make it shorter than `every`")
        return length

    def scaled(self, rate: float) -> "Burst":
        """With so many times the rates."""
        return self.model_copy(update={"rate": self.rate * rate, "burst_rate": self.burst_rate * rate})

    def dues(self, seconds: float, seed: int) -> Iterator[Due]:
        """The end of each period is its burst."""
        return map(Due, varying(self._rate_at, max(self.rate, self.burst_rate), seconds, seed))

    def _rate_at(self, at: float) -> float:
        return self.burst_rate if at % self.every >= self.every - self.length else self.rate


class Replay(Strict):
    """As somebody's service saw them: a text file with a line `seconds[,documents]` a request, `#` before a remark."""

    pattern: Literal["replay"]
    trace: str
    """Beside the scenario's file, or an absolute path."""
    speed: PositiveFloat = 1.0
    """Of 2: in half the time."""

    @field_validator("trace")
    @classmethod
    def _is_there(cls, trace: str, info: ValidationInfo) -> str:
        found = (info.context or {}).get("folder", Path()) / trace
        if not found.is_file():
            raise ValueError(f"there is no trace {found}")
        return str(found)

    def scaled(self, rate: float) -> "Replay":
        """So many times as fast."""
        return self.model_copy(update={"speed": self.speed * rate})

    def dues(self, seconds: float, _: int) -> Iterator[Due]:
        """From the earliest on, which is due at once; raises ValueError for what is no trace."""
        lines = enumerate(Path(self.trace).read_text(encoding="utf-8").splitlines(), 1)
        read = sorted(self._read(number, line) for number, line in lines if line.strip() and not line.startswith("#"))
        moved = (due._replace(at=(due.at - read[0].at) / self.speed) for due in read)
        return takewhile(lambda due: due.at < seconds, moved)

    def _read(self, number: int, line: str) -> Due:
        at, _, documents = line.partition(",")
        try:
            return Due(float(at), max(1, int(documents)) if documents.strip() else None)
        except ValueError:
            raise ValueError(f"{self.trace}, line {number}: wanted seconds[,documents], found {line!r}") from None


Arrivals = Annotated[Constant | Poisson | Ramp | Steps | Burst | Replay, Field(discriminator="pattern")]
