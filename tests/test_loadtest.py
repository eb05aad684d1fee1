import subprocess
import sys
from pathlib import Path

import psutil

from loadtest.startup import memory
from tests.conftest import ROOT
from tests.running import command, free_port


def test_startup_measures_a_service_from_its_command_to_its_idle_memory(small_models: Path) -> None:
    port = free_port()
    serve = [
        str(command()),
        "serve",
        "--port",
        str(port),
        "--models-dir",
        str(small_models),
        "--variants",
        "minilm-l12",
    ]
    measure = [sys.executable, "-m", "loadtest.startup", "--url", f"http://127.0.0.1:{port}", "--repeat", "1"]
    printed = subprocess.run(
        [*measure, "--idle", "1", "--", *serve],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    first, median = (line.split() for line in printed.splitlines()[1:])
    assert (first[0], median[0], first[1:]) == ("1", "median", median[1:])
    seconds, pss, rss, processes = (float(cell.replace(",", "")) for cell in first[1:])
    assert 1 < seconds < 120
    assert 300 < pss < rss
    assert processes > 5


def test_memory_counts_descendants() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as parent:
        while not psutil.Process(parent.pid).children():
            pass
        pss, rss, processes = memory(parent.pid)
        assert processes == 2
        assert 0 < pss <= rss
        assert parent.stdin is not None
        parent.stdin.write(b"\n")
