import fnmatch
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

DOCKERFILE = ROOT / "k8s/Dockerfile"


def _lint(file: Path) -> subprocess.CompletedProcess[str]:
    hadolint = Path(sys.executable).with_name("hadolint")
    return subprocess.run([hadolint, "--no-color", file], capture_output=True, text=True, timeout=60)


def _instructions(word: str) -> list[str]:
    """What stands behind `word`, with continued lines joined."""
    text = re.sub(r"\\\n\s*", "", DOCKERFILE.read_text())
    return [line.removeprefix(word).strip() for line in text.splitlines() if line.startswith(f"{word} ")]


def test_hadolint_finds_nothing() -> None:
    found = _lint(DOCKERFILE)
    assert (found.returncode, found.stdout) == (0, "")


def test_hadolint_would_find_something(tmp_path: Path) -> None:
    broken = tmp_path / "Dockerfile"
    broken.write_text(DOCKERFILE.read_text().replace("&& rm -rf /var/lib/apt/lists/*", "&& sudo true"))
    found = _lint(broken)
    assert found.returncode == 1
    assert "DL3004" in found.stdout  # sudo
    assert "DL3009" in found.stdout  # lists of packages that are left behind


def test_what_is_copied_is_there_and_not_ignored() -> None:
    allowed = [
        line[1:] for line in (ROOT / "k8s/Dockerfile.dockerignore").read_text().splitlines() if line.startswith("!")
    ]
    sources = [name for line in _instructions("COPY") if "--from" not in line for name in line.split()[:-1]]
    assert sources
    for name in sources:
        assert (ROOT / name).exists()
        assert any(fnmatch.fnmatch(name, pattern) for pattern in allowed)


def test_torch_is_one_that_runs_on_a_v100() -> None:
    [pinned] = re.findall(r"^torch==(\d+)\.(\d+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert (2, 13) <= tuple(map(int, pinned)) < (2, 15)


@pytest.mark.slow
def test_the_install_steps_make_an_environment_that_works(tmp_path: Path) -> None:
    """Without Docker: the build stage's own commands, in another folder and from the index that is at hand."""
    source, target = tmp_path / "source", tmp_path / "rerank"
    source.mkdir()
    for name in (name for line in _instructions("COPY") if "--from" not in line for name in line.split()[:-1]):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, source / name)
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    environment |= {"PATH": f"{target}/bin:{os.environ['PATH']}", "ACCELERATOR": "cpu"}
    steps = [step for step in _instructions("RUN") if "apt-get" not in step]
    assert len(steps) == 3
    for step in steps:
        command = re.sub(r'--index-url "[^"]+"', "", step).replace("/opt/rerank", str(target))
        subprocess.run(["bash", "-ec", command], cwd=source, env=environment, check=True, timeout=600)
    command = "rerank models && python -c 'import ray.serve, serve_app.app, torch; print(serve_app.__file__)'"
    told = subprocess.run(
        ["bash", "-ec", command], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert "minilm-l12" in told.stdout
    assert str(target) in told.stdout
