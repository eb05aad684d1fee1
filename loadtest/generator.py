"""An open loop in processes of its own: a plan in, a sample a request out, and what the generator knows of itself.

Requests go when they are due, whatever became of those before. Each process sends every n-th; they start at the same
moment, by the clock that all processes of a machine share. What came goes through a pipe twice a second.
"""

import asyncio
import gc
import multiprocessing
import resource
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from loadtest.phases import percentile
from loadtest.plan import Ask, Plan
from loadtest.samples import Generator, Sample
from loadtest.service import Body
from loadtest.target import Address, Target, connect

LATE_MS = 20.0
"""p99 between due and sent, at most. Latency counts from due, so it is in every figure: on an idle machine it is 1 to 3
ms, which is a timer's and the sending's own, and 20 ms would be seen in a p99 of some 100 ms."""
BUSY = 0.9
"""Of a core, in the busiest process, at most: answers that have come wait for it to be read, which no difference
between due and sent shows. One server with work for 0.9 of its time lets it wait for 4.5 times its length (M/D/1)."""
START_S = 0.2
"""From the last process's being ready to the start."""
TELL_S = 0.5
"""Between two tellings of a process."""


@dataclass(frozen=True, slots=True)
class Job:
    """What one process does."""

    address: Address
    bodies: Sequence[Body]
    asks: Sequence[Ask]


@dataclass(slots=True)
class Told:
    """What a process tells."""

    sent: int = 0
    """So far."""
    samples: list[Sample] = field(default_factory=list)
    """That it has not told yet."""
    cpu_share: float | None = None
    """Of a core, while it sent; the last telling has it."""

    @property
    def done(self) -> bool:
        """Whether nothing comes after it."""
        return self.cpu_share is not None

    def taken(self) -> "Told":
        """To be sent; this one has no samples then."""
        taken = Told(self.sent, self.samples, self.cpu_share)
        self.samples = []
        return taken


class Crew:
    """The processes of one run, ready to begin."""

    def __init__(self, processes: Sequence[BaseProcess], pipes: Sequence[Connection]) -> None:
        self._processes = processes
        self._pipes = pipes

    def begin(self) -> float:
        """The moment that all begin at, by time.perf_counter; it is a little ahead."""
        for pipe in self._pipes:
            _received(pipe)
        began = time.perf_counter() + START_S
        for pipe in self._pipes:
            pipe.send(began)
        return began

    def told(self) -> Iterator[Mapping[int, Told]]:
        """What came from each process by its number, at least twice a second, until all are done."""
        working = dict(enumerate(self._pipes))
        while working:
            heard = wait(list(working.values()), TELL_S)
            came = {number: _received(pipe) for number, pipe in working.items() if pipe in heard}
            working = {number: pipe for number, pipe in working.items() if number not in came or not came[number].done}
            yield came


@contextmanager
def crew(jobs: Sequence[Job]) -> Iterator[Crew]:
    """A process a job; whatever still works at the end is stopped."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = zip(*(spawning.Pipe() for _ in jobs), strict=True)
    processes = [spawning.Process(target=_work, args=each, daemon=True) for each in zip(theirs, jobs, strict=True)]
    for process in processes:
        process.start()
    for pipe in theirs:
        pipe.close()
    try:
        yield Crew(processes, ours)
    finally:
        for process in processes:
            process.terminate()
            process.join()


def share_out(address: Address, plan: Plan, processes: int) -> list[Job]:
    """Every n-th request to each process."""
    return [Job(address, plan.bodies, plan.asks[first::processes]) for first in range(processes)]


async def send_all(target: Target, job: Job, told: Told) -> None:
    """Send each when it is due, and see all of them answered or failed."""
    cpu_s, began = time.process_time(), time.perf_counter()

    async def ask(each: Ask) -> None:
        told.sent += 1
        sample = await target.ask(job.bodies[each.body], each.stamp, each.due)
        told.samples.append(sample)  # not before the await: it could be another list by now

    async with asyncio.TaskGroup() as sending:
        for each in job.asks:
            await asyncio.sleep(max(0.0, target.began + each.due - time.perf_counter()))
            sending.create_task(ask(each))
        share = (time.process_time() - cpu_s) / max(time.perf_counter() - began, 1e-9)
    told.cpu_share = share


def judged(samples: Sequence[Sample], cpu_shares: Sequence[float]) -> Generator:
    """What the generator is to be believed; a share of CPU time a process."""
    late_ms = percentile([1_000 * (sample.sent - sample.due) for sample in samples], 99) or 0.0
    busiest = max(cpu_shares)
    return Generator(len(cpu_shares), busiest, late_ms, late_ms > LATE_MS or busiest > BUSY)


def _work(pipe: Connection, job: Job) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the command's, which stops this process
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a connection a request in flight, and often 1,024 files
    gc.freeze()  # or a collection walks through the whole plan, which takes as long as some requests
    asyncio.run(_send_and_tell(pipe, job))


async def _send_and_tell(pipe: Connection, job: Job) -> None:
    told = Told()
    async with connect(job.address) as target:
        pipe.send(None)
        target.began = await asyncio.to_thread(pipe.recv)
        sending = asyncio.create_task(send_all(target, job, told))
        while not sending.done():
            await asyncio.wait({sending}, timeout=TELL_S)
            await asyncio.to_thread(pipe.send, told.taken())  # in a thread: a full pipe must not hold requests up
        await sending


def _received(pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:
        raise RuntimeError("a process of the load generator ended before its work was done; it said why") from None
