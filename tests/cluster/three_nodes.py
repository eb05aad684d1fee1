"""A Ray cluster as KubeRay would make it, on this machine: a head without CPUs, a router's node, a scorer's node.

A process of its own, since the tests have another Ray: a plan as JSON comes in on stdin, what became of requests goes
to a file.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import httpx
import ray
from ray import serve
from ray._private.node import Node
from ray.cluster_utils import Cluster
from ray.serve.context import _get_global_client
from ray.serve.schema import ServeDeploySchema

STORE_BYTES = 80 * 2**20
START_WITHIN_S = 180.0
THREADS = 4


def main() -> None:
    plan = json.load(sys.stdin)
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 0, "object_store_memory": STORE_BYTES, "include_dashboard": False},
    )
    nodes = {part: _node(cluster, labels) for part, labels in plan["labels"].items()}
    ray.init(address=cluster.address, log_to_driver=False)
    config = plan["config"]
    serve.start(http_options={**config["http_options"], "location": "HeadOnly"})  # nodes here share one address
    client = _get_global_client()
    assert client is not None
    client.deploy_apps(ServeDeploySchema.model_validate(config))
    _wait_until(lambda: serve.status().applications["rerank"].status == "RUNNING")
    asking = _Asking(f"http://127.0.0.1:{config['http_options']['port']}/v1/rerank", plan["key"])
    try:
        time.sleep(2)
        _node(cluster, plan["labels"]["scorer"])  # where a replica can go
        _stop(cluster, nodes["scorer"], plan["drain"])
        time.sleep(5)
    finally:
        Path(plan["answers"]).write_text(json.dumps(asking.end()))  # Ray writes to stdout, too
        serve.shutdown()
        ray.shutdown()
        cluster.shutdown()


def _node(cluster: Cluster, labels: dict[str, str]) -> Node:
    node: Node = cluster.add_node(num_cpus=1, labels=labels, object_store_memory=STORE_BYTES)
    return node


def _stop(cluster: Cluster, node: Node, drain: str) -> None:
    """What Kubernetes does to a pod: its preStop hook, then the end."""
    # In a pod there is one node, and Ray finds it; here there are several.
    command = drain.replace("ray drain-node", f"ray drain-node --node-id {node.node_id}")
    subprocess.run(["bash", "-ec", command], env={**os.environ, "RAY_ADDRESS": cluster.address}, check=True)
    cluster.remove_node(node, allow_graceful=False)


class _Asking:
    """Threads that ask without pause, and what they were answered."""

    def __init__(self, url: str, key: str) -> None:
        self._url, self._headers = url, {"Authorization": f"Bearer {key}"}
        self._answers: Counter[str] = Counter()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def end(self) -> dict[str, int]:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        return self._answers

    def _ask(self) -> None:
        body = {
            "query": "how many people live in Berlin",
            "documents": ["Berlin has museums.", "3,520,031 people."] * 20,
        }
        with httpx.Client(headers=self._headers, timeout=30) as http:
            while not self._ended.is_set():
                try:
                    answer = http.post(self._url, json=body)
                    told = "200" if answer.status_code == 200 else f"{answer.status_code} {answer.text[:200]}"
                except httpx.HTTPError as error:
                    told = repr(error)
                self._answers[told] += 1


def _wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + START_WITHIN_S
    while not holds():
        if time.monotonic() > until:
            raise TimeoutError(str(serve.status()))
        time.sleep(0.5)


if __name__ == "__main__":
    main()
