"""Commands that run inside of pods, run here."""

import subprocess
import time
from pathlib import Path

import pytest
import redis

from serve_app.cluster.redis import redis as redis_objects
from tests.cluster.fleets import make_fleet, pods, pods_of_fleet
from tests.redis_server import redis_server
from tests.running import free_port


def test_redis_takes_its_arguments_and_lets_nobody_in_without_the_password(tmp_path: Path) -> None:
    [(_, pod)] = pods(redis_objects())
    arguments = [a.replace("$(REDIS_PASSWORD)", "secret") for a in pod["spec"]["containers"][0]["args"]]
    port = free_port()
    with redis_server():  # skips where there is none
        pass
    here = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
    process = subprocess.Popen([*arguments, *here], stdout=subprocess.DEVNULL)
    try:
        server = redis.Redis(port=port, password="secret")
        _wait_for(server)
        server.set("usage", 1)
        assert server.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        assert list(tmp_path.rglob("*.aof*"))
        with pytest.raises(redis.AuthenticationError):
            redis.Redis(port=port).ping()
    finally:
        process.terminate()
        process.wait(20)


def _wait_for(server: redis.Redis) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            server.ping()
        except redis.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise TimeoutError("no redis-server answers")


def test_a_scorer_waits_for_its_weights(tmp_path: Path) -> None:
    [container] = pods_of_fleet(make_fleet())["scorer"]["spec"]["initContainers"]
    program, option, command = container["command"]
    command = command.replace("/models", str(tmp_path)).replace("sleep 5", "sleep 0.1")
    waiting = subprocess.Popen([program, option, command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(0.5)
        assert waiting.poll() is None
        (tmp_path / "ms-marco-MiniLM-L12-v2").mkdir()
        assert waiting.wait(10) == 0
    finally:
        waiting.kill()
        waiting.wait()


def test_a_probe_asks_as_kubernetes_would(tmp_path: Path) -> None:
    """Nothing answers here, so that it fails, and does so by itself."""
    container = pods_of_fleet(make_fleet())["scorer"]["spec"]["containers"][0]
    words = container["livenessProbe"]["exec"]["command"]
    command = words[2].replace(":52365", f":{free_port()}")
    done = subprocess.run([*words[:2], command], timeout=container["livenessProbe"]["timeoutSeconds"], check=False)
    assert done.returncode != 0
