"""A scenario at any rate, against one service: what the search for the highest rate asks for."""

import asyncio
from pathlib import Path

from loadtest.arrivals import Constant, Poisson
from loadtest.bisection import Probe
from loadtest.run import load, planned, warm_up
from loadtest.samples import Run
from loadtest.scenario import Scenario
from loadtest.target import Address


def prober(name: str, scenario: Scenario, address: Address, model: str | None, text: Path | None) -> Probe:
    """The service is warmed up before this returns. Raises ValueError for a scenario whose rate is not one rate."""
    if not isinstance(scenario.arrivals, Constant | Poisson):
        raise ValueError(
            f"the arrivals of {scenario.name} are {scenario.arrivals.pattern}: a highest rate is searched with those "
            "that have one rate, constant or poisson"
        )
    asyncio.run(warm_up(address, planned(scenario, address, model, text), scenario.warm_up))

    def probe(rate: float, seconds: float, seed: int) -> Run:
        workload = scenario.workload.model_copy(update={"seed": seed})
        told = scenario.changed(rate, seconds, None).model_copy(update={"workload": workload})
        return load(name, told, address, planned(told, address, model, text))

    return probe
