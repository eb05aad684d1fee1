"""A scenario: what comes when, what is in it and what is asked of the answers. A YAML file in, one checked value out.

It knows no service: the same scenario is run against every one that is compared.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    Discriminator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
    ValidationError,
    model_validator,
)

from loadtest.arrivals import Arrivals, Replay, Steps, Strict
from loadtest.questions import MEDIAN_WORDS

FOLDER = Path(__file__).parent / "scenarios"
"""Of those that can be named without a path."""


class Portion(Strict):
    """Some of the requests."""

    documents: PositiveInt
    """Of each."""
    share: PositiveFloat
    """Against the other portions' shares."""


class Spread(Strict):
    """Documents of a request, log-normally distributed."""

    median: PositiveFloat
    p95: PositiveFloat

    @model_validator(mode="after")
    def _ascend(self) -> Self:
        if self.p95 < self.median:
            raise ValueError("p95 is below median")
        return self


class Repeats(Strict):
    """Some queries come again and again, with the identical documents: the k-th most frequent as k^-exponent (Zipf)."""

    exponent: PositiveFloat
    queries: PositiveInt
    """Different ones."""


def _kind(documents: Any) -> str:
    if isinstance(documents, list):
        return "portions"
    return "spread" if isinstance(documents, dict | Spread) else "number"


Documents = Annotated[
    Annotated[PositiveInt, Tag("number")]
    | Annotated[list[Portion], Field(min_length=1), Tag("portions")]
    | Annotated[Spread, Tag("spread")],
    Discriminator(_kind),  # or a mistake is told three times, once for each that it is not
]


class Workload(Strict):
    """What is in the requests."""

    documents: Documents
    """Of a request."""
    words: PositiveFloat = MEDIAN_WORDS
    """The median of documents that are made up."""
    repeats: Repeats | None = None
    """Without it no query and no document is sent twice."""
    seed: int = 0
    """Of the arrivals and of what is drawn."""


class Scenario(Strict):
    """One run's plan."""

    name: str
    arrivals: Arrivals
    of_capacity: bool = False
    """Whether rates are multiples of what the service can do, which the command line has to tell."""
    workload: Workload
    seconds: PositiveFloat | None = None
    """That requests are due in; steps have their own, and a replay without it is a whole one."""
    warm_up: NonNegativeInt = 3
    """Requests before the clock starts."""
    slo_ms: PositiveFloat
    """An answer is good that comes within it, counted from when its request was due."""
    timeout_s: PositiveFloat = 60.0
    """After that the client gives up."""
    processes: PositiveInt = 1
    """That send; with 100 passages a request, one core sends about a thousand a second."""

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if isinstance(self.arrivals, Steps) and self.seconds is not None:
            raise ValueError("seconds: each step has its own, so leave this one out")
        if not isinstance(self.arrivals, Steps | Replay) and self.seconds is None:
            raise ValueError("seconds: say for how long requests come")
        return self

    @property
    def most_seconds(self) -> float:
        """That requests are due in; infinite where only a trace ends them."""
        return self.arrivals.seconds if isinstance(self.arrivals, Steps) else self.seconds or math.inf

    def changed(self, rate: float | None, seconds: float | None, processes: int | None) -> "Scenario":
        """With what the command line says; raises ValueError where it has to say more."""
        arrivals = self.arrivals
        if rate is not None:
            arrivals = arrivals.scaled(rate)
        elif self.of_capacity:
            raise ValueError(f"the rates of {self.name} are multiples of the service's capacity: tell it by --rate")
        if seconds is not None and isinstance(arrivals, Steps):
            arrivals, seconds = arrivals.stretched(seconds), None
        return self.model_copy(
            update={
                "arrivals": arrivals,
                "seconds": seconds or self.seconds,
                "processes": processes or self.processes,
                "of_capacity": False,
            }
        )

    def described(self) -> dict[str, Any]:
        """As its file has it; `phases` are those of the steps, each with its name, rate and seconds."""
        phases = [step.model_dump() for step in self.arrivals.steps] if isinstance(self.arrivals, Steps) else []
        return {**self.model_dump(mode="json"), "phases": phases}


def load_scenario(named: str) -> Scenario:
    """By its path, or one of the package's by its name; raises ValueError with a sentence for each mistake."""
    path = Path(named) if named.endswith((".yaml", ".yml")) else FOLDER / f"{named}.yaml"
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError:
        known = ", ".join(sorted(each.stem for each in FOLDER.glob("*.yaml")))
        raise ValueError(f"there is no scenario {named}; there are {known}, and any path of a .yaml file") from None
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from None
    if not isinstance(read, dict):
        raise ValueError(f"{path} is no scenario: it has to be a mapping with arrivals, workload and slo_ms")
    try:
        return Scenario.model_validate({"name": path.stem, **read}, context={"folder": path.parent})
    except ValidationError as error:
        raise ValueError("\n".join(f"{path}: {_sentence(each)}" for each in error.errors())) from None


def _sentence(mistake: Any) -> str:
    field = ".".join(map(str, mistake["loc"]))
    told = str(mistake["msg"]).removeprefix("Value error, ")
    return f"{field}: {told}" if field else told
