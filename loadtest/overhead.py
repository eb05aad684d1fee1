"""What does the router add to a request, dialect by dialect? `python -m loadtest.overhead --help`.

One request at a time. What the scorer took is in the reply's Server-Timing; the rest of the time that a client waits is
Ray's and the router's. An echo of the same body (`python -m loadtest.peers.echo`) takes Ray's part of it.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from loadtest.dialects import documents_body, texts_body
from loadtest.processes import Family
from loadtest.questions import Question, questions_from, sized

GOAL_MS = 3.0
"""Added to the median."""
ECHO = "echo"
TIMEOUT_S = 60.0


def _passages(question: Question) -> dict[str, Any]:
    return {"query": {"text": question.query}, "passages": [{"text": text} for text in question.documents]}


def _pairs(question: Question) -> dict[str, Any]:
    return {"text_1": question.query, "text_2": list(question.documents)}


DIALECTS: Mapping[str, tuple[str, Callable[[Question], dict[str, Any]]]] = {
    "native": ("/v1/rerank", documents_body),
    "cohere v2": ("/v2/rerank", documents_body),
    "jina": ("/jina/v1/rerank", documents_body),
    "tei": ("/rerank", texts_body),
    "vllm": ("/vllm/rerank", documents_body),
    "vllm score": ("/v1/score", _pairs),
    "nim": ("/v1/ranking", _passages),
    "voyage": ("/voyage/v1/rerank", documents_body),
    "infinity": ("/infinity/rerank", documents_body),
    "xinference": ("/xinference/v1/rerank", documents_body),
}


@dataclass(slots=True)
class Measured:
    """Of one dialect, or of the echo; milliseconds."""

    waited: list[float] = field(default_factory=list)
    """By the client."""
    beside_scorer: list[float] = field(default_factory=list)
    """Of that, not in the scorer."""
    cpu: dict[str, list[float]] = field(default_factory=dict)
    """A request's, by role of a process, one figure a round."""

    def cpu_of(self, role: str) -> float:
        """The median round's."""
        return statistics.median(self.cpu.get(role, [0.0]))


def overhead(
    url: Annotated[str, typer.Option(help="The service.")] = "http://127.0.0.1:8000",
    echo: Annotated[str, typer.Option(help="`python -m loadtest.peers.echo` serves it.")] = "http://127.0.0.1:8001",
    model: Annotated[str, typer.Option(help="By its name in the catalog.")] = "rerank-tiny",
    key: Annotated[str | None, typer.Option(help="API key of the service.", envvar="RERANK_API_KEY")] = None,
    documents: Annotated[int, typer.Option(min=1, help="Of a request.")] = 100,
    requests: Annotated[int, typer.Option(min=2, help="Of each dialect in a round.")] = 50,
    rounds: Annotated[int, typer.Option(min=1, help="The order of dialects and echo turns from one to the next.")] = 5,
) -> None:
    """Measure, one request at a time, what a client waits for beside scoring, and what CPU time that takes.

    Both services have to run on this machine, for their processes' CPU time to be read.
    """
    [question] = sized(questions_from(None), documents)[:1]
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    with (
        httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S) as service,
        httpx.Client(base_url=echo, headers=headers, timeout=TIMEOUT_S) as echoing,
    ):
        asked = {
            name: (service, path, write({**make(question), "model": model})) for name, (path, make) in DIALECTS.items()
        }
        asked[ECHO] = (echoing, "/", write(documents_body(question)))
        families = {ECHO: Family(echo), **dict.fromkeys(DIALECTS, Family(url))}
        measured = measure(asked, families, requests, rounds)
    Console().print(table(measured))


def write(body: Mapping[str, Any]) -> bytes:
    """A body, written before the clock starts."""
    return json.dumps(body).encode()


def measure(
    asked: Mapping[str, tuple[httpx.Client, str, bytes]], families: Mapping[str, Family], requests: int, rounds: int
) -> dict[str, Measured]:
    """Each in turn, as often as asked; before that a round that does not count."""
    measured = {name: Measured() for name in asked}
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("requests", total=(rounds + 1) * len(asked))
        for number in range(rounds + 1):
            for name in turned(list(asked), number):
                into = measured[name] if number else Measured()
                before = families[name].cpu_s()
                for waited, scored in ask(*asked[name], requests):
                    into.waited.append(waited)
                    into.beside_scorer.append(waited - scored)
                for role, spent in families[name].cpu_s().items():
                    into.cpu.setdefault(role, []).append(1_000 * (spent - before[role]) / requests)
                progress.advance(task)
    return measured


def turned(names: Sequence[str], by: int) -> list[str]:
    """The same from another one on, so that a noisy machine is noisy to all."""
    start = by % len(names)
    return [*names[start:], *names[:start]]


def ask(client: httpx.Client, path: str, body: bytes, requests: int) -> Iterator[tuple[float, float]]:
    """Milliseconds that the client waited, and of these the scorer's, of each request."""
    for _ in range(requests):
        began = time.perf_counter()
        response = client.post(path, content=body)
        waited = 1_000 * (time.perf_counter() - began)
        response.raise_for_status()
        yield waited, scorer_ms(response.headers.get("server-timing", ""))


def scorer_ms(server_timing: str) -> float:
    """The sum of what a Server-Timing header lists."""
    return sum(float(part.partition("dur=")[2]) for part in server_timing.split(",") if "dur=" in part)


def table(measured: Mapping[str, Measured]) -> Table:
    """A row a dialect; the echo's last."""
    bare = statistics.median(measured[ECHO].beside_scorer)
    made = Table(box=None, header_style="bold", pad_edge=False)
    made.add_column("dialect", no_wrap=True)
    for heading in (
        "waited p50",
        "beside scorer p50",
        f"added (goal < {GOAL_MS:g})",
        "CPU proxy",
        "CPU router",
        "CPU sum",
    ):
        made.add_column(heading, justify="right")
    for name, each in measured.items():
        beside = statistics.median(each.beside_scorer)
        front = [each.cpu_of("proxy"), each.cpu_of("replica" if name == ECHO else "router")]
        added = "" if name == ECHO else f"{beside - bare:+.2f} ms"
        figures = (statistics.median(each.waited), beside)
        made.add_row(
            name,
            *(f"{figure:.2f} ms" for figure in figures),
            added,
            *(f"{figure:.2f} ms" for figure in (*front, sum(front))),
        )
    return made


if __name__ == "__main__":
    typer.run(overhead)
