"""GPU nodes that come and go with the traffic: Ray's real autoscaler, real replicas of the real scorer.

Its nodes claim to have a V100 or a T4, and compute on this machine's CPU.
By hand, with progress: `pytest -s -m slow tests/test_scaling_nodes.py`.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve_app.catalog import Catalog
from tests.connections import Ask, drive, tell
from tests.fake_cloud import Cloud, fake_cloud, write_catalog

MODEL = "rerank-tiny"
WITHIN_S = 90.0
CONNECTIONS = 6
PACING = {"report_every_s": 1.0, "look_back_s": 5.0, "up_after_s": 2.0, "down_after_s": 8.0}


@pytest.fixture
def cloud(tmp_path: Path, catalog: Catalog) -> Iterator[Cloud]:
    """A fleet without any GPU node; each replica of its one variant wants a V100 for itself, and there are three."""
    write_catalog(catalog, tmp_path / "catalog.yaml", gpu_share=1, max_replicas=2, idle_after_s=5)
    arguments = {
        "catalog": str(tmp_path / "catalog.yaml"),
        "device": "cpu",
        "accelerator": "V100",
        "open": True,
        "limits": {"request_timeout_s": WITHIN_S},
    }
    with fake_cloud(arguments, PACING) as running:
        yield running


def _ask(documents: int) -> Ask:
    document = "a house by the sea, far from all others, where nobody has lived for years; " * 4
    body = json.dumps({"query": "sea", "documents": [document] * documents})
    return Ask("/v1/rerank", body.encode(), None)


def _wait(cloud: Cloud, what: str, until: Callable[[list[str], int], bool]) -> list[str]:
    """The V100s once they and the number of replicas that run are so."""
    began = time.monotonic()
    while True:
        seen = cloud.look()
        v100s, replicas = seen["nodes"].get("V100", []), seen["replicas"][MODEL].get("RUNNING", 0)
        assert "T4" not in seen["nodes"]
        assert len(v100s) <= 3
        took_s = time.monotonic() - began
        if until(v100s, replicas):
            tell(f"{what}: {len(v100s)} V100s, {replicas} replicas after {took_s:.0f} s")
            return list(v100s)
        assert took_s < WITHIN_S, f"not within {WITHIN_S:g} s: {what}; {seen}"
        time.sleep(0.5)


@pytest.mark.slow
def test_v100s_come_and_go_with_the_traffic_and_no_request_is_lost(cloud: Cloud) -> None:
    ended = threading.Event()

    def asks() -> Iterator[Ask]:
        while not ended.is_set():
            yield _ask(200)

    _wait(cloud, "nobody asks", lambda nodes, replicas: not nodes and not replicas)
    with ThreadPoolExecutor(1) as thread:
        try:
            driving = thread.submit(drive, cloud.url, asks(), CONNECTIONS)
            _wait(cloud, "the first request", lambda nodes, replicas: bool(nodes) and replicas >= 1)
            two = _wait(cloud, "more than one replica can do", lambda nodes, replicas: len(nodes) == replicas == 2)
            lost = two[0]
            cloud.kill_node(lost)
            _wait(cloud, "a node is lost", lambda nodes, _: lost not in nodes)
            _wait(cloud, "and replaced", lambda nodes, replicas: len(nodes) == replicas == 2)
        finally:
            ended.set()
        answers = driving.result()
    tell(f"{Counter(answer.status for answer in answers)}")
    assert {answer.status for answer in answers} == {200}
    _wait(cloud, "nobody asks any more", lambda nodes, replicas: not nodes and not replicas)
    assert [answer.status for answer in drive(cloud.url, [_ask(10)], 1)] == [200]
    _wait(cloud, "somebody asks again", lambda nodes, replicas: len(nodes) == replicas == 1)
    log = cloud.scaling_log()
    tell("\n".join(log))
    assert any("(idle)" in line for line in log)
    assert any("(arrivals)" in line or "(backlog)" in line for line in log)
