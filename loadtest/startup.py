"""How long a service takes from its command to its first answer, and what it holds in memory when idle.

    python -m loadtest.startup [--repeat 3] [--idle 5] [-- COMMAND ...]

COMMAND is any command that serves `POST /v1/rerank` at --url until it gets SIGINT; by default `rerank serve`.
Memory is the proportional set size of the command and all of its descendants: pages that several processes
share count once (summed resident sizes count them as often as they are shared, and are printed beside it).
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

GIVE_UP_S = 300.0
POLL_S = 0.1
MIB = 2**20
BODY = {"query": "How many people live in Berlin?", "documents": ["Berlin has 3.5 million inhabitants.", "Museums."]}


@dataclass(frozen=True)
class Start:
    """One start of the service."""

    first_answer_s: float
    pss_mib: float
    rss_mib: float
    processes: int


def main(arguments: Sequence[str] | None = None) -> None:
    """Start the command as often as asked, and print a table with the medians."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.startup", description=__doc__.split("\n\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="where the command will answer")
    parser.add_argument("--repeat", type=int, default=3, help="starts to measure (3)")
    parser.add_argument("--idle", type=float, default=5.0, help="seconds without requests before memory is read (5)")
    parser.add_argument("command", nargs="*", help="after --; by default: rerank serve")
    given = parser.parse_args(arguments)
    command = given.command or [str(Path(sys.executable).parent / "rerank"), "serve", "--open"]
    with Progress(console=Console(stderr=True)) as progress:
        starts = [
            measure(command, given.url, given.idle) for _ in progress.track(range(given.repeat), description="starts")
        ]
    Console().print(table(starts))


def measure(command: Sequence[str], url: str, idle_s: float) -> Start:
    """Start the command, wait for an answer, let it idle, read its memory, stop it."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        _wait_for_answer(process, url, began)
        first_answer_s = time.monotonic() - began
        time.sleep(idle_s)
        pss, rss, count = memory(process.pid)
        return Start(first_answer_s, pss / MIB, rss / MIB, count)
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate()


def memory(pid: int) -> tuple[int, int, int]:
    """Bytes of proportional and of resident set size, and the number of processes, of a process and its descendants."""
    root = psutil.Process(pid)
    sizes = [process.memory_full_info() for process in (root, *root.children(recursive=True))]
    return sum(size.pss for size in sizes), sum(size.rss for size in sizes), len(sizes)


def table(starts: Sequence[Start]) -> Table:
    """A row a start, and the medians."""
    shown = Table(box=None, header_style="bold")
    for heading in ("start", "first answer, s", "idle PSS, MiB", "idle RSS, MiB", "processes"):
        shown.add_column(heading, justify="right")
    for number, start in enumerate(starts, 1):
        shown.add_row(str(number), *_cells(start))
    columns = zip(*((s.first_answer_s, s.pss_mib, s.rss_mib, s.processes) for s in starts), strict=True)
    middle = [statistics.median(column) for column in columns]
    shown.add_row("median", *_cells(Start(middle[0], middle[1], middle[2], int(middle[3]))), style="bold")
    return shown


def _cells(start: Start) -> tuple[str, ...]:
    return f"{start.first_answer_s:.1f}", f"{start.pss_mib:,.0f}", f"{start.rss_mib:,.0f}", str(start.processes)


def _wait_for_answer(process: "subprocess.Popen[str]", url: str, began: float) -> None:
    while time.monotonic() - began < GIVE_UP_S:
        if process.poll() is not None:
            assert process.stderr is not None
            sys.exit(f"the command ended by itself:\n{process.stderr.read()}")
        if _answers(url):
            return
        time.sleep(POLL_S)
    sys.exit(f"no answer from {url} within {GIVE_UP_S:g} s")


def _answers(url: str) -> bool:
    request = urllib.request.Request(
        f"{url}/v1/rerank", json.dumps(BODY).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=GIVE_UP_S) as response:
            return len(json.load(response)["results"]) == len(BODY["documents"])
    except (urllib.error.URLError, ConnectionError, KeyError, ValueError):
        return False


if __name__ == "__main__":
    main()
