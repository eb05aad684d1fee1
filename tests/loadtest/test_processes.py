import socket
from collections.abc import Iterator

import pytest

from loadtest.processes import Family, _role
from tests.running import Running, free_port


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.socket() as here:
        here.bind(("127.0.0.1", 0))
        here.listen()
        yield here.getsockname()[1]


def test_whose_time_it_is_is_told_by_the_title() -> None:
    roles = {
        "/some/where/bin/haproxy -db -f /tmp/haproxy.cfg": "proxy",
        "ray::HAProxyManager": "proxy",
        "ray::ProxyActor": "proxy",
        "ray::ServeReplica:rerank:router": "router",
        "ray::ServeReplica:rerank:minilm-l6": "replica",
        "ray::ServeReplica:default:Echo": "replica",
        "/some/where/raylet --port 1": "other",
        "": "other",
    }
    assert {title: _role(title) for title in roles} == roles


def test_a_service_has_a_proxy_a_router_and_a_scorer(service: Running) -> None:
    family = Family(service.url)
    before = family.cpu_s()
    body = {"query": "the river in berlin", "documents": ["people of the mountain"] * 50}
    for _ in range(20):
        assert service.http.post("/v1/rerank", json=body).status_code == 200
    spent = {role: seconds - before[role] for role, seconds in family.cpu_s().items()}
    assert spent["router"] > 0
    assert spent["replica"] > 0
    assert before["proxy"] > 0


def test_what_is_not_of_a_ray_is_said(listening: int) -> None:
    with pytest.raises(LookupError, match="is not of a Ray"):
        Family(f"http://127.0.0.1:{listening}")
    with pytest.raises(LookupError, match="no process of this machine listens"):
        Family(f"http://127.0.0.1:{free_port()}")
