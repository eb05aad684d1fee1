"""Documents per second of rerank services, measured side by side over HTTP.

    python -m loadtest.throughput RUN.jsonl.gz --target NAME=URL[=MODEL] ... [--rounds 5] [--queries 20]

RUN holds lines {query, candidates: [{text}]}. In each round every target ranks the same queries, one request at a time;
the order of the targets turns from round to round, so that a noisy machine is noisy to all. Medians are what counts.
"""

import argparse
import json
import statistics
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from loadtest.questions import Question, read_questions

TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Target:
    """A service that ranks on `POST {url}/v1/rerank`."""

    name: str
    url: str
    model: str | None

    def rank(self, body: dict[str, Any]) -> int:
        """Ask, and return how many documents came back."""
        content = json.dumps({**body, **({"model": self.model} if self.model else {})}).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/v1/rerank", content, headers)
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return len(json.load(response)["results"])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table: rounds, medians, and the ratio to the first target."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.throughput", description=__doc__.split("\n\n")[0])
    parser.add_argument("run", type=Path, metavar="RUN.jsonl.gz")
    parser.add_argument("--target", action="append", required=True, type=_target, metavar="NAME=URL[=MODEL]")
    parser.add_argument("--rounds", type=int, default=5, help="(5)")
    parser.add_argument("--queries", type=int, default=20, help="of the run (20)")
    given = parser.parse_args(arguments)
    questions = read_questions(given.run, given.queries)
    measured: dict[str, list[float]] = {target.name: [] for target in given.target}
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("rounds", total=(given.rounds + 1) * len(given.target))
        for number in range(given.rounds + 1):
            turned = given.target[number % len(given.target) :] + given.target[: number % len(given.target)]
            for target in turned:
                docs_per_s = measure(target, _bodies(questions, number))
                if number:  # the first is for warming up
                    measured[target.name].append(docs_per_s)
                progress.advance(task)
    Console().print(table(measured))


def _bodies(questions: Sequence[Question], number: int) -> list[dict[str, Any]]:
    """Of a round: with its number after each document, so that no service knows the texts from the one before."""
    return [
        {"query": question.query, "documents": [f"{text} {number:06}" for text in question.documents]}
        for question in questions
    ]


def measure(target: Target, bodies: Sequence[dict[str, Any]]) -> float:
    """Documents per second of one pass over the bodies."""
    began = time.perf_counter()
    documents = sum(target.rank(body) for body in bodies)
    return documents / (time.perf_counter() - began)


def table(measured: dict[str, list[float]]) -> Table:
    """A row a target."""
    shown = Table(box=None, header_style="bold")
    for heading in ("target", "docs/s, median", "lowest", "highest", "of the first"):
        shown.add_column(heading, justify="left" if heading == "target" else "right")
    first = statistics.median(next(iter(measured.values())))
    for name, values in measured.items():
        median = statistics.median(values)
        shown.add_row(name, f"{median:,.0f}", f"{min(values):,.0f}", f"{max(values):,.0f}", f"{median / first:.2f}")
    return shown


def _target(text: str) -> Target:
    name, separator, rest = text.partition("=")
    url, _, model = rest.partition("=")
    if not separator or not url.startswith("http"):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=URL[=MODEL]")
    return Target(name, url.rstrip("/"), model or None)


if __name__ == "__main__":
    main()
