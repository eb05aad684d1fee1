"""The rendered Serve configuration and the pods' goodbye, on a real Ray cluster of several nodes."""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from serve_app.cluster.clouds import Cloud
from serve_app.cluster.rayservice import rayservice
from serve_app.cluster.serve_config import serve_config
from serve_app.ingress import LOOPBACK, haproxy_on_loopback
from serve_app.key_file import KeyTerms, add_key
from serve_app.settings import Limits
from tests.cluster.fleets import make_fleet
from tests.conftest import ROOT
from tests.redis_server import redis_server
from tests.running import free_port

PASSWORD = "odd/characters:in@it"


@pytest.mark.slow
def test_the_fleet_answers_and_a_scorer_that_drains_fails_no_request(tmp_path: Path) -> None:
    fleet = make_fleet(Cloud.NONE, limits=Limits(request_timeout_s=20))  # ample, on a machine that may be busy
    key = add_key(tmp_path / "keys.json", KeyTerms(name="test"), datetime.now(UTC)).text
    (tmp_path / "password").write_text(PASSWORD)
    config = serve_config(fleet)
    config["http_options"] = {"host": "127.0.0.1", "port": free_port()}
    groups = rayservice(fleet)["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    container = groups[1]["template"]["spec"]["containers"][0]
    with redis_server() as url:
        redis.Redis.from_url(url).config_set("requirepass", PASSWORD)
        here = {"keys": "keys.json", "redis_password_file": "password"}
        places = {name: str(tmp_path / file) for name, file in here.items()}
        config["applications"][0]["args"] |= {**places, "redis_url": url}
        plan = {
            "answers": str(tmp_path / "answers.json"),
            "config": config,
            "key": key,
            "labels": {group["groupName"].removesuffix("s"): group["labels"] for group in groups},
            "drain": container["lifecycle"]["preStop"]["exec"]["command"][2],
        }
        _run(plan, config["http_options"]["port"], {each["name"]: each["value"] for each in container["env"]})
        used = redis.Redis.from_url(url, password=PASSWORD).keys("*")
    answers = json.loads((tmp_path / "answers.json").read_text())
    assert set(answers) == {"200"}, answers
    assert answers["200"] > 50
    assert used  # limits and usage went where the password was needed


def _run(plan: object, port: int, pod: Mapping[str, str]) -> None:
    """With what a pod tells Ray Serve, and HAProxy on loopback: these pods share one machine."""
    folder = Path(tempfile.mkdtemp(prefix="nodes-"))  # tmp_path is too long for HAProxy's sockets
    environment = {
        **os.environ,
        **{name: value for name, value in pod.items() if name.startswith("RAY_SERVE_")},
        **haproxy_on_loopback(folder, LOOPBACK, port),
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_USAGE_STATS_ENABLED": "0",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.cluster.three_nodes"],
            input=json.dumps(plan),
            capture_output=True,
            text=True,
            timeout=300,
            env=environment,
            cwd=ROOT,
        )
        assert done.returncode == 0, done.stderr[-4_000:]
        assert list(folder.rglob("haproxy.cfg"))
    finally:
        shutil.rmtree(folder)
