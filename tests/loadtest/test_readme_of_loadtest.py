"""The commands of loadtest/README.md, shortened by options, against a service that ranks at once."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from loadtest.scenario import FOLDER
from tests.conftest import ROOT
from tests.loadtest.fake_peer import Reply, fake_peer

README = (ROOT / "loadtest" / "README.md").read_text()
QUICK = ["--seconds", "1", "--requests", "1", "--repeats", "1", "--resolution", "1.9"]
SHORTER = {"run": ["--seconds", "1"], "report": [], "saturation": ["--from", "5", "--to", "60", *QUICK]}
HELD = 20
"""Requests of a second; more are refused."""


def test_its_three_commands(tmp_path: Path) -> None:
    [block] = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    printed: list[str] = []
    came: list[float] = []

    def reply(*_: object) -> Reply:
        came.append(now := time.monotonic())
        return Reply(200 if sum(now - at < 1 for at in came) <= HELD else 503)

    with fake_peer(reply) as peer:
        for line in block.strip().splitlines():
            python, *words = shlex.split(line.replace("http://127.0.0.1:8000", peer.url))
            assert python == ".venv/bin/python"
            command = [sys.executable, *words, *SHORTER[words[2]]]
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, done.stdout + done.stderr
            printed.append(done.stdout)
    assert " requests in 1 s, 0 failed" in printed[0]
    assert "p99.9" in printed[1]
    assert "</html>" in (tmp_path / "steady.html").read_text()


def test_it_lists_every_scenario() -> None:
    listed = set(re.findall(r"^\| `([a-z]+)` \|", README, re.MULTILINE))
    assert listed == {path.stem for path in FOLDER.glob("*.yaml")}


def test_the_files_that_it_shows_are_there() -> None:
    for path in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / "loadtest" / path).is_file(), path
