"""Whether the generator measures what it says: against services whose every delay is known."""

import asyncio
import math
import statistics
import time
from collections.abc import Sequence

import pytest

from loadtest.arrivals import Poisson
from loadtest.generator import Job, Told, judged, send_all
from loadtest.phases import percentile
from loadtest.plan import Ask
from loadtest.samples import Sample
from loadtest.service import Body
from loadtest.target import Address, connect
from tests.loadtest.slow_services import Queues, Stalls, served

pytestmark = pytest.mark.slow

TWO = Body(b'{"query": "q", "documents": ["one 000000", "two 000000"]}', 2)
EVERY_S, STALL_S = 1.5, 0.4


def address(url: str) -> Address:
    return Address(url, "native", None, timeout_s=20)


async def sent_openly(url: str, dues: Sequence[float]) -> list[Sample]:
    job, told = Job(address(url), [TWO], [Ask(due, 0, number) for number, due in enumerate(dues)]), Told()
    async with connect(job.address) as target:
        await target.warm_up([(TWO, 999_999)])
        target.began = time.perf_counter()
        await send_all(target, job, told)
    assert told.done
    return sorted(told.samples, key=lambda sample: sample.due)


async def sent_one_after_another(url: str, seconds: float) -> list[Sample]:
    """As a closed loop does it: the next when the last is answered."""
    samples: list[Sample] = []
    async with connect(address(url)) as target:
        await target.warm_up([(TWO, 999_999)])
        while (now := time.perf_counter() - target.began) < seconds:
            samples.append(await target.ask(TWO, len(samples), now))
    return samples


def p99_ms(samples: Sequence[Sample]) -> float:
    found = percentile([sample.latency_ms for sample in samples], 99)
    assert found is not None
    assert all(sample.failure is None for sample in samples)
    return found


@pytest.mark.parametrize("blocks", [False, True], ids=["of the service", "of the generator too"])
def test_a_stall_shows_in_an_open_loop_and_hides_from_a_closed_one(blocks: bool) -> None:
    async def measured() -> tuple[list[Sample], list[Sample]]:
        async with served(Stalls(EVERY_S, STALL_S, blocks).delay) as url:
            seconds = 2 * EVERY_S
            openly = await sent_openly(f"{url}/one", [number / 40 for number in range(int(seconds * 40))])
            return openly, await sent_one_after_another(f"{url}/one", seconds)

    openly, closed = asyncio.run(measured())
    assert p99_ms(openly) > 0.85 * STALL_S * 1_000
    assert sum(sample.latency_ms > 50 for sample in openly) > 0.7 * STALL_S / EVERY_S * len(openly)
    assert max(sample.latency_ms for sample in closed) > 0.85 * STALL_S * 1_000, "it met the stalls as well"
    assert p99_ms(closed) < 0.5 * STALL_S * 1_000
    assert judged(openly, [0.1]).late or not blocks


SERVICE_S, BUSY, QUEUES, SECONDS, SETTLED_S = 0.1, 0.6, 16, 12.0, 2.0
"""Each queue is empty at first: what came before it settled does not count."""
THEORY_S = BUSY * SERVICE_S / (2 * (1 - BUSY))
"""M/D/1: with Poisson arrivals, constant service S and one server the mean wait is rho S / (2 (1 - rho)).

Pollaczek (1930) and Khinchin (1932).
"""
LATE_S = 0.1 * THEORY_S
"""Between due and sent on average, at most: a machine that is busier has no room for this measurement."""
T_99 = 2.947
"""Student's t for 99 % on both sides and fifteen degrees of freedom."""


def lindley(dues: Sequence[float]) -> list[float]:
    """What each waits in a queue with one server (Lindley 1952), in seconds."""
    waits, free_at = [], 0.0
    for due in dues:
        waits.append(max(0.0, free_at - due))
        free_at = max(free_at, due) + SERVICE_S
    return waits


async def latencies_of_queues(all_dues: Sequence[Sequence[float]]) -> tuple[list[list[float]], float]:
    """In seconds, for each queue, and the mean between due and sent."""
    async with served(Queues(SERVICE_S).delay) as url:
        queues = await asyncio.gather(*(sent_openly(f"{url}/{number}", dues) for number, dues in enumerate(all_dues)))
    late_s = statistics.mean(sample.sent - sample.due for queue in queues for sample in queue)
    return [[sample.latency_ms / 1_000 for sample in queue] for queue in queues], late_s


def test_waits_in_a_queue_are_those_of_theory() -> None:
    """Queues with arrivals of their own give independent means, and these an interval.

    What a request takes beside service and wait is the median of those that find their queue empty.
    """
    arriving = Poisson(pattern="poisson", rate=BUSY / SERVICE_S)
    all_dues = [[due.at for due in arriving.dues(SECONDS, seed)] for seed in range(QUEUES)]
    for _ in range(4):
        queues, late_s = asyncio.run(latencies_of_queues(all_dues))
        if late_s < LATE_S:
            break
    else:
        pytest.fail("the generator was late four times: this machine has no room for a measurement")
    latencies = [latency for queue in queues for latency in queue]
    expected = [wait for dues in all_dues for wait in lindley(dues)]
    taken_s = statistics.median(took for took, wait in zip(latencies, expected, strict=True) if not wait)
    errors = [took - taken_s - wait for took, wait in zip(latencies, expected, strict=True) if wait]
    assert SERVICE_S < taken_s < SERVICE_S + LATE_S
    assert abs(statistics.median(errors)) < LATE_S
    means = [
        statistics.mean(took - taken_s for took, due in zip(queue, dues, strict=True) if due > SETTLED_S)
        for queue, dues in zip(queues, all_dues, strict=True)
    ]
    interval_s = T_99 * statistics.stdev(means) / math.sqrt(QUEUES)
    assert interval_s < 0.5 * THEORY_S
    assert statistics.mean(means) == pytest.approx(THEORY_S, abs=interval_s)


def test_the_theory_is_that_of_the_arrivals_in_the_long_run() -> None:
    arriving = Poisson(pattern="poisson", rate=BUSY / SERVICE_S)
    waits = lindley([due.at for due in arriving.dues(20_000, seed=1)])
    assert statistics.mean(waits) == pytest.approx(THEORY_S, rel=0.04)
