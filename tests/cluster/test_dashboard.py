"""The dashboard as Grafana's own models of one read it: a field that they do not know is lost on the way."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.dashboard import Dashboard

from serve_app.cluster.dashboard import PANELS, dashboard


def _read(made: Any) -> Any:
    register_default_plugins()
    return json.loads(JSONEncoder().encode(Dashboard.from_json(made)))


def _lost(made: Any, read: Any, where: str = "") -> Iterator[str]:
    """Places of what is not read as it is written; what is read beyond that are defaults."""
    if isinstance(made, dict) and isinstance(read, dict):
        for name, value in made.items():
            yield from _lost(value, read.get(name), f"{where}.{name}")
    elif isinstance(made, list) and isinstance(read, list) and len(made) == len(read):
        for number, (one, other) in enumerate(zip(made, read, strict=True)):
            yield from _lost(one, other, f"{where}[{number}]")
    elif made != read:
        yield where


def test_grafana_knows_every_field() -> None:
    assert list(_lost(dashboard(), _read(dashboard()))) == []


@pytest.mark.parametrize(
    ("of", "field"),
    [
        (lambda made: made, "titel"),
        (lambda made: made["panels"][3], "position"),
        (lambda made: made["panels"][0]["targets"][0], "expression"),
        (lambda made: made["panels"][0]["fieldConfig"]["defaults"], "minimum"),
    ],
)
def test_a_field_that_grafana_does_not_know_is_noticed(of: Any, field: str) -> None:
    made = dashboard()
    of(made)[field] = "x"
    [where] = _lost(made, _read(made))
    assert where.endswith(f".{field}")


@pytest.mark.parametrize("unit", sorted({panel.unit for panel in PANELS}))
def test_grafana_knows_every_unit(unit: str) -> None:
    assert unit in vars(units).values()
