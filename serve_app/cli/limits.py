"""The limits of a canary as options of a command: texts come in, GuardLimits go out."""

from typing import Annotated

import typer
from pydantic import ValidationError

from serve_app.errors import ConfigurationError
from serve_app.routes import GuardLimits

NONE = "none"
ErrorRate = Annotated[
    str, typer.Option(metavar="SHARE|none", help="Of its requests that may fail; as many as of the baseline's always.")
]
LatencyRatio = Annotated[
    str, typer.Option(metavar="TIMES|none", help="Its median and its p99, each by the baseline's.")
]
Agreement = Annotated[
    str, typer.Option(metavar="TAU|none", help="Kendall's tau of its order and the baseline's, at least, on average.")
]
Compare = Annotated[
    float, typer.Option(min=0.001, max=1, help="Share of its requests that the baseline scores as well, for that.")
]
Observations = Annotated[int, typer.Option(min=1, help="Of its requests, before it can be found too slow or failing.")]


def limits_of(error_rate: str, latency_ratio: str, agreement: str, compare: float, observations: int) -> GuardLimits:
    """Raises ConfigurationError that names the option."""
    given = {"max_error_rate": error_rate, "max_latency_ratio": latency_ratio, "min_agreement": agreement}
    try:
        return GuardLimits.model_validate(
            {
                **{name: None if text.casefold() == NONE else text for name, text in given.items()},
                "compare": compare,
                "min_observations": observations,
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        option = f"--{str(first['loc'][0]).replace('_', '-')}"
        raise ConfigurationError(f"{option} {first['input']}: {first['msg']}; `none` is no limit") from None
