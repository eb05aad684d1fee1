"""NetworkPolicies as a network plugin reads them: who reaches whom."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from serve_app.cluster.fleet import Upgrade
from serve_app.cluster.manifests import manifests
from serve_app.cluster.objects import Object
from tests.cluster.fleets import make_fleet


@dataclass(frozen=True)
class Peer:
    labels: dict[str, str]
    namespace: dict[str, str] | None = None
    """Labels of another namespace; None is the fleet's own."""


def part(name: str) -> Peer:
    return Peer({"rerank-part": name})


INGRESS = Peer({}, {"rerank-ingress": "true"})
PROMETHEUS = Peer({}, {"rerank-monitoring": "true"})
OPERATOR = Peer({"app.kubernetes.io/component": "kuberay-operator"}, {})
STRANGER = Peer({}, {})
INTRUDER = Peer({"app": "something-else"})
GATEWAY = Peer({"gateway.networking.k8s.io/gateway-name": "rerank-gateway"})


@dataclass(frozen=True)
class Network:
    policies: Sequence[Object] = field(repr=False)

    def lets(self, source: Peer, target: Peer, port: int) -> bool:
        """Both ends must allow it; an end outside the fleet's namespace has no policies here."""
        out = source.namespace is not None or self._allows("egress", "to", source, target, port)
        into = target.namespace is not None or self._allows("ingress", "from", target, source, port)
        return out and into

    def _allows(self, direction: str, peers: str, pod: Peer, other: Peer, port: int) -> bool:
        mine = [p["spec"] for p in self.policies if _selects(p["spec"]["podSelector"], pod.labels)]
        rules = [
            rule for spec in mine if direction.capitalize() in spec["policyTypes"] for rule in spec.get(direction, [])
        ]
        return any(
            ("ports" not in rule or port in {each["port"] for each in rule["ports"]})
            and (peers not in rule or any(_is(peer, other) for peer in rule[peers]))
            for rule in rules
        )


def _is(peer: Object, other: Peer) -> bool:
    if "namespaceSelector" in peer:
        in_namespace = _selects(peer["namespaceSelector"], other.namespace or {})
    else:
        in_namespace = other.namespace is None
    return in_namespace and _selects(peer.get("podSelector", {}), other.labels)


def _selects(selector: Object, labels: dict[str, str]) -> bool:
    equal = all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    within = all(labels.get(each["key"]) in each["values"] for each in selector.get("matchExpressions", []))
    return equal and within


def _network(upgrade: Upgrade) -> Network:
    objects = manifests(make_fleet(upgrade=upgrade)).objects()
    return Network([each for each in objects if each["kind"] == "NetworkPolicy"])


PLAIN, STEPS = _network(Upgrade.NEW_CLUSTER), _network(Upgrade.INCREMENTAL)
RAY = ("head", "router", "scorer")
PASSES = [
    *[(part(source), part(target), port) for source in RAY for target in RAY for port in (6379, 8000, 10002, 52365)],
    *[(part(source), part("redis"), 6379) for source in RAY],
    *[(part(source), STRANGER, 53) for source in (*RAY, "redis", "models")],
    (part("head"), STRANGER, 443),
    (part("models"), STRANGER, 443),
    (OPERATOR, part("head"), 8265),
    (OPERATOR, part("head"), 8000),
    (INGRESS, part("router"), 8000),
    (INGRESS, part("scorer"), 8000),
    *[(PROMETHEUS, part("head"), port) for port in (8080, 44217, 44227)],
    (PROMETHEUS, part("scorer"), 8080),
]
FORBIDDEN = [
    (STRANGER, part("router"), 8000),
    (STRANGER, part("redis"), 6379),
    (INTRUDER, part("redis"), 6379),
    (INTRUDER, part("head"), 8265),
    (INTRUDER, part("router"), 8000),
    (INGRESS, part("head"), 8000),
    (INGRESS, part("head"), 8265),
    (INGRESS, part("router"), 10002),
    (INGRESS, part("redis"), 6379),
    (PROMETHEUS, part("router"), 8000),
    (part("router"), STRANGER, 443),
    (part("scorer"), STRANGER, 443),
    (part("redis"), STRANGER, 443),
    (part("redis"), part("head"), 6379),
    (part("models"), part("redis"), 6379),
    (part("head"), STRANGER, 80),
]


@pytest.mark.parametrize(("source", "target", "port"), PASSES)
def test_what_must_pass_passes(source: Peer, target: Peer, port: int) -> None:
    assert PLAIN.lets(source, target, port)
    assert STEPS.lets(source, target, port)


@pytest.mark.parametrize(("source", "target", "port"), FORBIDDEN)
def test_nothing_else_does(source: Peer, target: Peer, port: int) -> None:
    assert not PLAIN.lets(source, target, port)
    assert not STEPS.lets(source, target, port)


def test_a_gateway_stands_between_while_upgrades_go_by_steps() -> None:
    assert STEPS.lets(INGRESS, GATEWAY, 80)
    assert STEPS.lets(GATEWAY, part("router"), 8000)
    assert not STEPS.lets(STRANGER, GATEWAY, 80)
    assert not STEPS.lets(GATEWAY, part("redis"), 6379)
    assert not PLAIN.lets(GATEWAY, part("router"), 8000)
