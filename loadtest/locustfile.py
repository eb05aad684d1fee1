"""The questions of this folder for Locust: `locust -f loadtest/locustfile.py --host http://127.0.0.1:8000 --users 20`.

For teams whose dashboards and workers are Locust's. What it hides: a user asks again only after its answer came. While
a service is slow fewer requests are sent, and the time that those should have waited is in no percentile (Tene calls it
coordinated omission). `constant_throughput` keeps each user at `--rate` as long as answers take less than 1 / rate, so
have more users than the requests that can be in flight, and trust no percentile above that time. `python -m loadtest
run` sends requests when they are due, whatever came of those before, and counts from then.

A 200 that does not rank every document is a failure, as elsewhere here. Query and documents end with a number that is
another one each time, so that a service that keeps the tokens of documents knows none of them.
"""

import random
from argparse import Namespace
from collections.abc import Sequence
from functools import cache
from itertools import count, cycle

from locust import FastHttpUser, constant_throughput, events, task
from locust.argument_parser import LocustArgumentParser

from loadtest.dialects import DIALECTS
from loadtest.plan import STAMPS
from loadtest.questions import STAMP, Question, make_up_questions, sized
from loadtest.service import Body


@events.init_command_line_parser.add_listener
def add_arguments(parser: LocustArgumentParser) -> None:
    """Each can be set in the page of Locust too, and by its environment variable; workers get the master's."""
    parser.add_argument("--dialect", choices=list(DIALECTS), default="native", env_var="RERANK_DIALECT")
    parser.add_argument("--model", default="", env_var="RERANK_MODEL", help="Default: the service's")
    parser.add_argument("--documents", type=int, default=20, env_var="RERANK_DOCUMENTS", help="Of a request")
    parser.add_argument("--rate", type=float, default=1.0, env_var="RERANK_RATE", help="Requests/s of each user")
    parser.add_argument("--api-key", default="", env_var="RERANK_API_KEY", is_secret=True, include_in_web_ui=False)


@cache
def bodies(dialect: str, model: str, documents: int) -> Sequence[Body]:
    """The same ones for all users of this process."""
    spoken = DIALECTS[dialect]
    questions = (
        Question(each.query + STAMP, [document + STAMP for document in each.documents])
        for each in sized(make_up_questions(), documents)
    )
    return [Body(spoken.write(each, model or None), len(each.documents)) for each in questions]


class Caller(FastHttpUser):
    """Asks to have documents ranked, again and again."""

    numbers = count(random.randrange(STAMPS))
    """Of all users of this process."""

    def wait_time(self) -> float:
        """Until a user's next request."""
        waited: float = self.pace(self)
        return waited

    def on_start(self) -> None:
        """With all bodies written before the first request."""
        options: Namespace = self.environment.parsed_options
        key = options.api_key
        self.pace = constant_throughput(options.rate)
        self.dialect = DIALECTS[options.dialect]
        self.headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        self.bodies = cycle(bodies(options.dialect, options.model, options.documents))

    @task
    def rerank(self) -> None:
        """One request."""
        body = next(self.bodies)
        content = body.stamped(next(self.numbers) % STAMPS)
        with self.client.post(self.dialect.path, data=content, headers=self.headers, catch_response=True) as response:
            if response.status_code != 200:
                response.failure(f"status {response.status_code}")
            elif self._ranked(response.content) != body.documents:
                response.failure("incomplete")

    def _ranked(self, content: bytes) -> int:
        try:
            return self.dialect.read(content).ranked
        except ValueError:
            return 0
