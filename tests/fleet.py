"""Two routers over their scorers, with one Redis, in a process of its own.

`rerank serve` starts one router; what else it does is done here too. A fleet is ended as Ctrl-C in a terminal ends it:
every process of its group gets the signal.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from serve_app.router.charge import NANO, Charge
from serve_app.router.usage_redis import RedisSink
from tests.connections import ANSWER_WITHIN_S, ID_PREFIX, Answer, Ask, drive
from tests.running import Running, free_port

START_WITHIN_S = 180.0
STOP_WITHIN_S = 60.0
FLUSH_EVERY_S = 1.0
AROUND_S = 0.5
"""Around a flush interval: for the flush itself, and for a machine that is busy."""
ROUTERS = 2
APP_NAME = "rerank"
FAULTS = "RERANK_TEST_FAULTS"
"""What is wrong with the scorers, by variant; Ray's workers inherit it, and the product reads no such variable."""
_STARTED = "started: "
_DECLARED = "declared"


@dataclass(frozen=True)
class Fleet(Running):
    """Routers that answer at `url`."""

    logs: Path
    metrics: tuple[str, ...]
    """Where Prometheus asks: of the node, and of the autoscaler."""

    def declare(self, routes: Mapping[str, Any]) -> None:
        """Give the router of a declared application these routes; returns when Serve has been told."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(routes) + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline().strip() == _DECLARED

    def drive(self, asks: Iterable[Ask], connections: int) -> list[Answer]:
        return drive(self.url, asks, connections)

    def answered(self) -> dict[str, set[str]]:
        """Ids of the requests that each router answered with a ranking, by the router's name: from its access log.

        A reply does not say whose it is, and processor time does not say how many they were.
        """
        found: dict[str, set[str]] = {}
        for log in self.logs.glob(f"replica_{APP_NAME}_router_*.log"):
            lines = [line.split() for line in log.read_text().splitlines() if " POST " in line and " 200 " in line]
            found[router_of(log)] = {word for words in lines for word in words if word.startswith(ID_PREFIX)}
        return found

    def of_each_router(self, answers: Iterable[Answer]) -> list[int]:
        """How many of the answers are whose; fails where they are not one router's each."""
        ids = {answer.id for answer in answers if answer.served}
        each = [len(ids & answered) for answered in self.answered().values()]
        assert sum(each) == len(ids)
        return each

    def used(self, admin_key: str) -> dict[tuple[str, str], Charge]:
        """The ledger once every router has written what it counted, by the ids of key and model."""
        time.sleep(2 * FLUSH_EVERY_S + AROUND_S)
        today = datetime.now(UTC).date()
        asked = {"from": str(today - timedelta(1)), "to": str(today), "group_by": "key,model"}
        reply = self.http.get("/v1/usage", params=asked, headers={"authorization": f"Bearer {admin_key}"})
        assert reply.status_code == 200, reply.text
        return {(line.pop("key"), line.pop("model")): _charge(line) for line in reply.json()["data"]}


def router_of(log: Path) -> str:
    """The name of the router that writes this log."""
    return log.stem.rpartition("_")[2]


async def kept(redis_url: str, key: str) -> Charge:
    """What Redis holds of a key's usage, by the key's id, when no router runs any more."""
    sink = RedisSink(redis_url)
    today = datetime.now(UTC).date()
    found = await sink.read(today - timedelta(1), today, key)
    await sink.close()
    return sum((charge for _, charge in found), Charge())


def _charge(line: dict[str, Any]) -> Charge:
    return Charge(nano_usd=round(line.pop("cost_usd") * NANO), **line)


@contextmanager
def fleet(arguments: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> Iterator[Fleet]:
    """Start it with these of AppArgs; yields it once it answers, and stops it unless that was done.

    `faults`, if it is there, is what is wrong with its scorers: see tests/faults.py. With `declared`, a Serve
    configuration is deployed, as KubeRay does, and `declare` gives its router another `user_config`.
    """
    port = free_port()
    given = {"router_replicas": ROUTERS, "reserve_cpus": False, "most_replicas": 1, **arguments}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fleet", json.dumps(given), str(port)],
        cwd=Path(__file__).parent.parent,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        start_new_session=True,  # so that the signal reaches no test
    )
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        assert told.startswith(_STARTED), "the fleet ended by itself"
        places = json.loads(told.removeprefix(_STARTED))
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, timeout=ANSWER_WITHIN_S) as client:
            yield Fleet(url, process, client, Path(places["logs"]), tuple(places["metrics"]))
    finally:
        stop(process)


def stop(process: "subprocess.Popen[str]", by: signal.Signals = signal.SIGINT) -> None:
    """End it as Ctrl-C does in a terminal, or as SIGTERM to it alone does; nothing when it has ended."""
    if process.poll() is None:
        if by is signal.SIGINT:
            os.killpg(process.pid, by)
        else:
            process.send_signal(by)
    try:
        process.communicate(timeout=STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise


def _serve(arguments: str, port: int) -> None:
    # Ray reads its environment, which this module prepares, when it is imported.
    from serve_app.local import private_ray

    given = json.loads(arguments)
    os.environ[FAULTS] = json.dumps(given.pop("faults", {}))
    declared = given.pop("declared", False)
    with private_ray("127.0.0.1", port) as ray:
        from ray import serve

        from serve_app.app import AppArgs, build
        from tests.faults import install

        install()
        if declared:
            _declare(given, None)
        else:
            serve.run(build(AppArgs.model_validate(given)), name=APP_NAME, route_prefix="/")
        sys.stdout.write(f"{_STARTED}{json.dumps({'logs': str(ray.logs.resolve()), 'metrics': _metrics()})}\n")
        sys.stdout.flush()
        try:
            for line in sys.stdin:  # ends with the test's process
                _declare(given, json.loads(line))
                sys.stdout.write(f"{_DECLARED}\n")
                sys.stdout.flush()
        finally:
            ray.delete(APP_NAME, ANSWER_WITHIN_S)


def _metrics() -> list[str]:
    """What Ray's dashboard, which is not there, would write down for Prometheus."""
    import ray
    from ray.experimental.internal_kv import _internal_kv_get

    nodes = [f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}" for node in ray.nodes()]
    autoscaler = _internal_kv_get(b"AutoscalerMetricsAddress")
    return nodes if autoscaler is None else [*nodes, autoscaler.decode()]


def _declare(given: Mapping[str, Any], routes: Mapping[str, Any] | None) -> None:
    """What Serve's REST API does with a configuration; that API itself needs Ray's dashboard."""
    from ray.serve.context import _get_global_client
    from ray.serve.schema import ServeDeploySchema

    router: dict[str, Any] = {"name": "router", **({} if routes is None else {"user_config": {"routes": routes}})}
    application = {"name": APP_NAME, "import_path": "serve_app.app:build", "args": given, "deployments": [router]}
    client = _get_global_client()
    assert client is not None
    client.deploy_apps(ServeDeploySchema.model_validate({"applications": [application]}), _blocking=routes is None)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt):
        _serve(sys.argv[1], int(sys.argv[2]))
