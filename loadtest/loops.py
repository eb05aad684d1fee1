"""Two ways to load a service. Closed loop: each stream asks when it has its answer. Open loop: at times set before.

Only an open loop shows how long callers wait: callers do not hold back because a service is slow. Its latencies count
from the time that was set, so that neither a stalled service nor a stalled client can hide them.
"""

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import takewhile
from typing import Any, Protocol

from loadtest.service import Answer, Body

PAUSE_S = 0.1
"""After a failure: a refusal comes at once, and a stream without a pause would ask thousands of times a second."""


class Asked(Protocol):
    """Whatever gives an answer to a body."""

    async def ask(self, body: Body, due: float) -> Answer:
        """Ask now; `due` is when it should have been."""
        ...


def arrivals(rate: float, seed: int) -> Iterator[float]:
    """Seconds from the start to each arrival of a Poisson process of `rate` a second, without end."""
    rng = random.Random(seed)
    at = 0.0
    while True:
        at += rng.expovariate(rate)
        yield at


def ramp(from_rate: float, to_rate: float, seconds: float, seed: int) -> Iterator[float]:
    """Seconds to each arrival of a Poisson process whose rate goes from one to the other, in a straight line."""

    def rate_at(at: float) -> float:
        return from_rate + (to_rate - from_rate) * at / seconds

    return varying(rate_at, max(from_rate, to_rate), seconds, seed)


def varying(rate_at: Callable[[float], float], highest: float, seconds: float, seed: int) -> Iterator[float]:
    """Seconds to each arrival of a Poisson process whose rate changes with time and is never above `highest`.

    By thinning: arrivals at the highest rate, each kept with the probability of its time's rate.
    """
    kept = random.Random(f"kept {seed}")  # with the arrivals' own seed, both would draw the same numbers
    for at in takewhile(lambda at: at < seconds, arrivals(highest, seed)):
        if kept.random() * highest < rate_at(at):
            yield at


async def open_loop(
    service: Asked, bodies: Iterable[Body], times: Iterable[float], over: "asyncio.Future[Any]"
) -> list[Answer]:
    """Ask at those times (seconds from now) until `over` is done; returns when all answers came."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as asked:
        tasks = []
        for body, at in zip(bodies, times, strict=False):
            await asyncio.wait({over}, timeout=max(0.0, began + at - time.perf_counter()))
            if over.done() and began + at > time.perf_counter():  # what is overdue is asked all the same
                break
            tasks.append(asked.create_task(service.ask(body, began + at)))
    return [task.result() for task in tasks]


async def closed_loop(service: Asked, bodies: Iterator[Body], streams: int) -> list[Answer]:
    """Ask for the bodies in `streams` streams; returns when they are used up and all answers came."""
    answers: list[Answer] = []

    async def stream() -> None:
        for body in bodies:
            answer = await service.ask(body, time.perf_counter())
            answers.append(answer)
            if answer.failure is not None:
                await asyncio.sleep(PAUSE_S)

    async with asyncio.TaskGroup() as streaming:
        for _ in range(streams):
            streaming.create_task(stream())
    return answers
