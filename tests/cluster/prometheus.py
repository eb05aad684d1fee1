"""Prometheus' own judgement of rules, by promtool."""

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from serve_app.cluster.objects import Object


def check_rules(folder: Path, groups: Object) -> str:
    """What is wrong with `groups`; empty when nothing is."""
    rules = folder / "rules.yaml"
    rules.write_text(yaml.safe_dump(groups))
    return _promtool("check", "rules", "--lint-fatal", str(rules))


def run_rules(folder: Path, groups: Object, tests: list[Object]) -> str:
    """What fires otherwise than `tests` say; empty when nothing does."""
    (folder / "rules.yaml").write_text(yaml.safe_dump(groups))
    file = folder / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": tests}))
    return _promtool("test", "rules", str(file))


def check_expressions(folder: Path, expressions: list[str]) -> str:
    """What is wrong with queries, which promtool takes as rules alone."""
    rules = [{"record": f"query:number_{number}", "expr": each} for number, each in enumerate(expressions)]
    return check_rules(folder, {"groups": [{"name": "queries", "rules": rules}]})


def _promtool(*words: str) -> str:
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool (`apt-get install prometheus`)")
    done = subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=60)
    return "" if done.returncode == 0 else done.stdout + done.stderr
