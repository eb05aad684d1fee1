"""The README's blocks, run in the order they stand in, and its tables against what they describe."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from serve_app.catalog import Catalog
from serve_app.router.keys import Keyring
from serve_app.settings import Settings
from tests.conftest import ROOT
from tests.hub_server import hub_server
from tests.running import free_port

README = (ROOT / "README.md").read_text(encoding="utf-8")
STARTS_WITHIN_S = 120.0


@dataclass(frozen=True)
class Block:
    command: str
    output: str | None
    """What the block after it shows."""


def _blocks() -> list[Block]:
    fenced = re.findall(r"^```(\w+)\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    following = [*fenced[1:], ("", "")]
    return [
        Block(text, after if kind_after in ("text", "json") else None)
        for (kind, text), (kind_after, after) in zip(fenced, following, strict=True)
        if kind == "bash"
    ]


SERVE, CURL, TEST, PULL, VERIFY, ROUTES, KEYS, USAGE, MODELS, QUERY = _blocks()


def _run(block: Block, folder: Path, **environment: str) -> str:
    command = block.command.replace(".venv/bin/rerank", f"{ROOT}/.venv/bin/rerank")
    environment = {**os.environ, "COLUMNS": "100", **environment}
    done = subprocess.run(
        ["bash", "-e", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


@dataclass(frozen=True)
class Started:
    port: int
    printed: str

    def run(self, block: Block, folder: Path) -> str:
        """The output of a block, on the port that the service has here."""
        here = Block(block.command.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}"), block.output)
        return _run(here, folder, RERANK_URL=f"http://127.0.0.1:{self.port}")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """`make serve`, as the README says, on a free port."""
    port = free_port()
    ledger = tmp_path_factory.mktemp("usage") / "usage.sqlite3"
    environment = {**os.environ, "RERANK_PORT": str(port), "COLUMNS": "200", "RERANK_USAGE__PATH": str(ledger)}
    make = subprocess.Popen(
        ["bash", "-c", f"exec {SERVE.command}"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield Started(port, _printed_until_ready(make))
    finally:
        for child in psutil.Process(make.pid).children():
            child.terminate()
        make.wait(60)
        assert make.stdout is not None
        make.stdout.close()


def _printed_until_ready(make: "subprocess.Popen[str]") -> str:
    assert make.stdout is not None
    printed = ""
    until = time.monotonic() + STARTS_WITHIN_S
    while "answers at" not in printed:
        line = make.stdout.readline()
        assert line, printed
        assert time.monotonic() < until, printed
        printed += line
    return printed


def test_make_serve_prints_what_the_readme_shows(started: Started) -> None:
    assert SERVE.output is not None
    shown = SERVE.output.replace(":8000", f":{started.port}").replace("bf16", "DTYPE")
    assert shown.strip() in re.sub(r"\b(bf16|fp32)\b", "DTYPE", started.printed)


def test_the_curl_line_gets_the_answer_that_is_shown(started: Started, tmp_path: Path) -> None:
    assert CURL.output is not None
    shown, answered = json.loads(CURL.output), json.loads(started.run(CURL, tmp_path))
    _assert_alike(answered, shown, changing={"id", "created"})


def _assert_alike(answered: Any, shown: Any, changing: set[str]) -> None:
    assert type(answered) is type(shown)
    if isinstance(shown, dict):
        assert answered.keys() == shown.keys()
        for key in shown.keys() - changing:
            _assert_alike(answered[key], shown[key], changing)
    elif isinstance(shown, list):
        assert len(answered) == len(shown)
        for ours, theirs in zip(answered, shown, strict=True):
            _assert_alike(ours, theirs, changing)
    elif isinstance(shown, float):
        assert answered == pytest.approx(shown, abs=0.005)
    else:
        assert answered == shown


def test_query_prints_the_table_that_is_shown(started: Started, tmp_path: Path) -> None:
    assert QUERY.output is not None
    printed = [line.split() for line in started.run(QUERY, tmp_path).splitlines()]
    shown = [line.split() for line in QUERY.output.splitlines()]
    assert printed[0] == shown[0]
    assert float(printed[1].pop(1)) == pytest.approx(float(shown[1].pop(1)), abs=0.005)
    assert printed == shown


def test_usage_prints_what_was_asked_before(started: Started, tmp_path: Path) -> None:
    """It is run after the two blocks that rank documents."""
    assert USAGE.output is not None
    assert [line.split() for line in started.run(USAGE, tmp_path).splitlines()] == [
        line.split() for line in USAGE.output.splitlines()
    ]


def test_a_key_is_printed_and_its_hash_kept(tmp_path: Path) -> None:
    printed = _run(KEYS, tmp_path).strip()
    caller = Keyring(tmp_path / "keys.json").caller(f"Bearer {printed}")
    assert (caller.allowance.documents_per_minute, caller.monthly_budget_usd) == (60_000, 50)


def test_pull_and_verify_work_as_shown(real_models: Path, tmp_path: Path, catalog: Catalog) -> None:
    """From a server in the hub's place, with the weights at hand."""
    variant = catalog.variants["minilm-l12"]
    home = str(tmp_path / "home")
    with hub_server(real_models / variant.folder, variant.revision) as hub:
        printed = _run(PULL, tmp_path, HF_ENDPOINT=hub.url, HF_HUB_OFFLINE="0", HF_HOME=home)
    assert printed.startswith("✓ minilm-l12: ")
    (tmp_path / "models" / variant.folder / "manifest.json").unlink()  # as the text says: not the published file
    assert VERIFY.output is not None
    table = VERIFY.output.splitlines()
    for line, shown in zip(_run(VERIFY, tmp_path).splitlines()[: len(table)], table, strict=True):
        for word, expected in zip(line.split(), shown.split(), strict=True):
            is_number = re.fullmatch(r"[+-]?\d+\.\d+", expected)
            assert float(word) == pytest.approx(float(expected), abs=1e-3) if is_number else word == expected


def test_a_route_is_made_and_shown(started: Started, tmp_path: Path) -> None:
    assert ROUTES.output is not None
    printed = [line.split() for line in started.run(ROUTES, tmp_path).splitlines()]
    shown = [line.split() for line in ROUTES.output.splitlines()]
    assert printed[: len(shown)] == shown


def test_models_lists_the_variants(started: Started, tmp_path: Path, catalog: Catalog) -> None:
    printed = started.run(MODELS, tmp_path)
    assert all(name in printed for name in catalog.variants)


def test_the_readme_names_the_test_command() -> None:
    planned = subprocess.run(
        ["make", "-n", "--no-print-directory", *TEST.command.split()[1:]], cwd=ROOT, capture_output=True, text=True
    )
    assert planned.returncode == 0
    assert planned.stdout.rstrip().endswith(".venv/bin/pytest")


def test_the_variant_table_is_the_catalog(catalog: Catalog) -> None:
    rows = {}
    for line in README.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].removesuffix(" ★") in catalog.variants:
            rows[cells[0].removesuffix(" ★")] = cells
    assert set(rows) == set(catalog.variants)
    for name, cells in rows.items():
        variant, figures = catalog.variants[name], catalog.variants[name].figures
        assert cells[0].endswith("★") == (name in catalog.pareto_front)
        speed = f"{figures.docs_per_second_v100:,.0f}"
        assert cells[1:] == [
            variant.hub_id,
            variant.tier,
            f"{figures.ndcg10:.2f}",
            "–" if figures.mrr10 is None else f"{figures.mrr10:.2f}",
            speed,
            variant.licence,
        ]


def test_the_configuration_table_has_every_setting() -> None:
    listed = set(re.findall(r"`RERANK_([A-Z_]+)`", README.split("## Configuration")[1].split("## Layout")[0]))
    known = {name.upper() for name in Settings.model_fields if name not in ("limits", "usage")}
    known |= {f"LIMITS__{name.upper()}" for name in type(Settings().limits).model_fields}
    known |= {f"USAGE__{name.upper()}" for name in type(Settings().usage).model_fields}
    assert listed == known


@pytest.mark.parametrize("path", re.findall(r"^\| `([\w/.]+)`", README.split("## Layout")[1], re.MULTILINE))
def test_the_layout_exists(path: str) -> None:
    assert (ROOT / path).exists()
