"""Small requests beside large ones: what 10 documents, 5 a second, wait for while two streams rank 1,000 each."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from loadtest.fairness import Load, observe
from loadtest.peers.field import Field, warm_up
from loadtest.peers.server import Server
from loadtest.phases import Phase
from loadtest.questions import Question, sized
from loadtest.service import connect, write_bodies

SMALL, LARGE = 10, 1_000
RATE = 5.0
STREAMS = 2


@dataclass(frozen=True, slots=True)
class Mixed:
    """The same small requests alone and beside the large ones."""

    alone: Phase
    beside: Phase


def mixed(everybody: Field, questions: Sequence[Question], seconds: float) -> dict[str, Mixed]:
    """Each once."""
    return everybody.turn(0, "small beside large", lambda server: asyncio.run(_mixed(server, questions, seconds)))


async def _mixed(server: Server, questions: Sequence[Question], seconds: float) -> Mixed:
    small, large = (write_bodies(sized(questions, documents), server.model) for documents in (SMALL, LARGE))
    load = Load(small, large, RATE, STREAMS, seconds, seed=0)
    await warm_up(server, small)
    async with connect(server.url) as service:
        alone = await observe(service, load, "alone", small=True, large=False)
        beside = await observe(service, load, "beside", small=True, large=True)
    server.check()
    return Mixed(alone, beside)
