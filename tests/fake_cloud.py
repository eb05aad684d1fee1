"""A Ray cluster on this machine whose V100 and T4 nodes come and go: Ray's own autoscaler, over nodes that it starts.

A fake node is a raylet of its own that claims a GPU. Loopback alone, a folder of its own, and every process has a mark
in its environment, by which it is ended: `ray stop` would end every Ray of the machine.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil

from serve_app.catalog import Catalog
from tests.running import free_port

MARK = "RERANK_TEST_CLOUD"
HEAD_ID = "f" * 51 + "00000"
APP_NAME = "rerank"
STOP_WITHIN_S = 30.0
NODE_IDLE_MINUTES = 0.1
OBJECT_STORE = {"object_store_memory": 80 * 2**20}
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Cloud:
    """A fleet on nodes that come and go, which answers at `url`."""

    url: str
    mark: str
    folder: Path
    driver: "subprocess.Popen[str]"

    def look(self) -> dict[str, Any]:
        """Nodes that are alive, by kind, and the replicas that run, by deployment."""
        assert self.driver.stdin is not None
        self.driver.stdin.write("look\n")
        self.driver.stdin.flush()
        return _told(self.driver)

    def kill_node(self, identity: str) -> None:
        """As a machine that loses power: its raylet is gone, and takes its workers along."""
        for process in marked(self.mark):
            if "raylet" in process.name() and process.environ().get("RAY_OVERRIDE_NODE_ID_FOR_TESTING") == identity:
                process.kill()

    def scaling_log(self) -> list[str]:
        """What the policy has decided, and why."""
        logs = (self.folder / "session_latest" / "logs" / "serve").glob("controller_*.log")
        return [line for log in logs for line in log.read_text().splitlines() if " needs " in line]


def marked(mark: str) -> list[psutil.Process]:
    """The processes of this cloud."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def _told(driver: "subprocess.Popen[str]") -> dict[str, Any]:
    """The next JSON that the driver tells; fails when it has ended."""
    assert driver.stdout is not None
    while line := driver.stdout.readline():
        if line.startswith("{"):
            told: dict[str, Any] = json.loads(line)
            return told
    raise RuntimeError("the driver of the fake cloud has ended")


def write_catalog(catalog: Catalog, path: Path, **serving: Any) -> None:
    """The bundled variant alone, served like this."""
    data = catalog.only(["rerank-tiny"]).model_dump(mode="json")
    data["variants"]["rerank-tiny"]["serving"].update(serving)
    path.write_text(json.dumps(data))


def _config(gcs: str) -> dict[str, Any]:
    """What `ray start` takes as its autoscaling config: two kinds of GPU nodes, none at first."""
    gpus = {kind: {"CPU": 2, "GPU": 1, f"accelerator_type:{kind}": 1, **OBJECT_STORE} for kind in ("T4", "V100")}
    kinds = {kind: {"resources": has, "labels": {}, "node_config": {}, "max_workers": 3} for kind, has in gpus.items()}
    head = {"resources": {"CPU": 2}, "labels": {}, "node_config": {}, "max_workers": 0}
    commands = ("initialization", "setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    return {
        "cluster_name": "fake",
        "max_workers": 6,
        "idle_timeout_minutes": NODE_IDLE_MINUTES,
        "upscaling_speed": 10.0,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "gcs_address": gcs,
            "head_node_id": HEAD_ID,
            "launch_multiple": True,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "available_node_types": {"ray.head.default": head, **kinds},
        "head_node_type": "ray.head.default",
        "auth": {},
        "file_mounts": {},
        "cluster_synced_files": [],
        **{f"{name}_commands": [] for name in commands},  # Ray wants them, and runs none on such nodes
    }


def _environment(mark: str) -> dict[str, str]:
    return {
        **os.environ,
        MARK: mark,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # so that Ray binds loopback alone: see serve_app/local.py
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_FAKE_CLUSTER": "1",
        "RAY_enable_autoscaler_v2": "1",
        "RAY_CLOUD_INSTANCE_ID": HEAD_ID,
        "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_ID,
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "AUTOSCALER_METRIC_PORT": str(free_port()),
        "PYTHONPATH": str(ROOT),
    }


@contextmanager
def fake_cloud(arguments: Mapping[str, Any], pacing: Mapping[str, float]) -> Iterator[Cloud]:
    """Start the head and the fleet with these of AppArgs; yields once it answers, ends every process of it."""
    mark, port, gcs_port = secrets.token_hex(8), free_port(), free_port()
    folder = Path(tempfile.mkdtemp(prefix="cloud-"))
    environment = _environment(mark)
    gcs = f"127.0.0.1:{gcs_port}"
    config = folder / "autoscaling.json"
    config.write_text(json.dumps(_config(gcs)))
    driver: subprocess.Popen[str] | None = None
    try:
        _start_head(folder, gcs_port, config, environment)
        given = json.dumps([gcs, port, dict(arguments), dict(pacing)])
        driver = subprocess.Popen(
            [sys.executable, "-m", "tests.fake_cloud", given],
            cwd=ROOT,
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        _told(driver)
        yield Cloud(f"http://127.0.0.1:{port}", mark, folder, driver)
    finally:
        _end(mark)
        if driver is not None:
            driver.communicate()
        shutil.rmtree(folder, ignore_errors=True)


def _start_head(folder: Path, port: int, config: Path, environment: Mapping[str, str]) -> None:
    ray = str(Path(sys.executable).parent / "ray")
    options = {
        "port": port,
        "node-ip-address": "127.0.0.1",
        "autoscaling-config": config,
        "temp-dir": folder,
        "num-cpus": 2,
        "num-gpus": 0,
        "object-store-memory": 100 * 2**20,
        "ray-client-server-port": free_port(),  # else one for the whole machine
        "min-worker-port": 0,
        "max-worker-port": 0,
        "include-dashboard": "false",
    }
    command = [ray, "start", "--head", *(f"--{name}={value}" for name, value in options.items())]
    started = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert started.returncode == 0, started.stdout + started.stderr


def _end(mark: str) -> None:
    """Every process of it: those that were told to end may yet start others."""
    until = time.monotonic() + STOP_WITHIN_S
    by = signal.SIGTERM
    while (left := marked(mark)) and time.monotonic() < until:
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(by)
        psutil.wait_procs(left, timeout=3)
        by = signal.SIGKILL


def _drive(gcs: str, port: int, arguments: Mapping[str, Any], pacing: Mapping[str, float]) -> None:
    import ray
    from ray import serve

    from serve_app import app
    from serve_app.autoscaling import Pacing

    ray.init(gcs, log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": port}, proxy_location="HeadOnly")
    options = app.deployment_options
    # Minutes of waiting become seconds, and no variant is kept awake: what is seen is a fleet without any GPU node.
    vars(app).update(
        Pacing=SimpleNamespace(of=lambda _: Pacing(**pacing)),
        deployment_options=lambda variant, at_once, device, args: options(variant, False, device, args),
    )
    serve.run(app.build(app.AppArgs.model_validate(arguments)), name=APP_NAME, route_prefix="/")
    _tell({})
    for _ in sys.stdin:
        nodes: dict[str, list[str]] = {}
        for node in ray.nodes():
            kinds = [name for name in node["Resources"] if name.startswith("accelerator_type:")]
            if node["Alive"]:
                nodes.setdefault(kinds[0].partition(":")[2] if kinds else "head", []).append(node["NodeID"])
        deployments = serve.status().applications[APP_NAME].deployments
        replicas = {name: dict(overview.replica_states) for name, overview in deployments.items()}
        _tell({"nodes": nodes, "replicas": replicas})


def _tell(seen: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(seen) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _drive(*json.loads(sys.argv[1]))
