"""Everybody who is compared, started one at a time: idle, too, a Ray takes a part of a core from the others.

Who fails is left out from then on, with the reason; the others go on.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from loadtest.loops import closed_loop
from loadtest.peers.environments import IndexUnreachable
from loadtest.peers.peer import Peer
from loadtest.peers.server import PeerFailed, Server
from loadtest.service import Answer, Body, connect

WARM_UP = 3
"""Requests to each server that has just started."""
Found = TypeVar("Found")


@dataclass
class Field:
    """The peers and how to start them."""

    peers: Sequence[Peer]
    start: Callable[[Peer], AbstractContextManager[Server]]
    say: Callable[[str], None]
    failed: dict[str, str] = field(default_factory=dict)
    """Why a peer is left out, by its name."""

    def turn(self, number: int, doing: str, work: Callable[[Server], Found]) -> dict[str, Found]:
        """Each is started, works and is stopped, one after another; who is first turns with the number."""
        first = number % len(self.peers)
        found: dict[str, Found] = {}
        for peer in [*self.peers[first:], *self.peers[:first]]:
            if peer.name in self.failed:
                continue
            self.say(f"{doing}: {peer.name}")
            try:
                with self.start(peer) as server:
                    found[peer.name] = work(server)
            except (PeerFailed, IndexUnreachable) as error:
                self.failed[peer.name] = str(error)
                self.say(f"{peer.name} is left out: {error}")
        return found


async def warm_up(server: Server, bodies: Sequence[Body]) -> None:
    """Ask for a few of the bodies; raises PeerFailed if one is not ranked."""
    async with connect(server.url) as service:
        answers = await closed_loop(service, iter(list(islice(bodies, WARM_UP))), 1)
    refuse(server, answers)


async def docs_per_s(server: Server, bodies: Iterator[Body], streams: int) -> float:
    """Of so many streams that are never without a request, from idle to idle; raises PeerFailed where some fail."""
    async with connect(server.url) as service:
        answers = await closed_loop(service, bodies, streams)
    refuse(server, answers)
    seconds = max(answer.came for answer in answers) - min(answer.due for answer in answers)
    return sum(answer.documents for answer in answers) / seconds


def refuse(server: Server, answers: Sequence[Answer]) -> None:
    """Raises PeerFailed if there is a failure among them."""
    server.check()
    if failures := {answer.failure for answer in answers if answer.failure is not None}:
        raise PeerFailed(f"{server.peer.name} did not rank every request: {', '.join(sorted(failures))}")
