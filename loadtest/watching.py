"""How many replicas of each model a service has while it is loaded: `GET /v1/models` once a second, in a thread.

A service that lists no state, as most do not, has none to tell, and is asked once.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event, Thread
from urllib.parse import urlsplit

import httpx

from loadtest.samples import Replicas

EVERY_S = 1.0
PATH = "/v1/models"
TIMEOUT_S = 5.0


class Watch:
    """What was seen so far; times are seconds since `began`, by time.perf_counter."""

    def __init__(self, url: str, key: str | None, began: float) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._began = began
        self._over = Event()
        self.seen: list[Replicas] = []

    @property
    def replicas(self) -> list[Replicas]:
        """Of the models that had one at some time."""
        served = {each.model for each in self.seen if each.running}
        return [each for each in self.seen if each.model in served]

    def look(self) -> None:
        """Once a second until it is over, if there is something to be seen."""
        with httpx.Client(headers=self._headers, timeout=TIMEOUT_S) as http:
            place = self._place(http)
            while place and not self._over.wait(EVERY_S):
                self.seen += self._read(http, place)

    def end(self) -> None:
        """The last look is the one before."""
        self._over.set()

    def _place(self, http: httpx.Client) -> str | None:
        """Below the URL, or at its root: a dialect's prefix may have no list of its own."""
        root = "{0.scheme}://{0.netloc}".format(urlsplit(self._url))
        for place in dict.fromkeys((self._url + PATH, root + PATH)):
            if found := self._read(http, place):
                self.seen += found
                return place
        return None

    def _read(self, http: httpx.Client, place: str) -> Sequence[Replicas]:
        """Nothing where no state is listed. Cascades are left out: their replicas are those of their models."""
        at = max(0.0, time.perf_counter() - self._began)
        try:
            models = http.get(place).raise_for_status().json()["data"]
            alone = [model for model in models if not model.get("stages")]
            return [Replicas(at, str(model["id"]), int(model["state"]["replicas"])) for model in alone]
        except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
            return []


@contextmanager
def watching(url: str, key: str | None, began: float) -> Iterator[Watch]:
    """The replicas of the service at a URL, while the block lasts."""
    watch = Watch(url, key, began)
    thread = Thread(target=watch.look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        watch.end()
        thread.join()
