import pytest
import yaml

from serve_app.cluster.declared import carried_over, declared_routes, served_only, with_routes
from serve_app.cluster.objects import Object
from serve_app.cluster.rayservice import rayservice
from serve_app.errors import ConfigurationError
from serve_app.routes import RouteTable
from tests.cluster.fleets import CATALOG, make_fleet

ROUTES = RouteTable.model_validate({"routes": {"search": {"lanes": [{"variant": "minilm-l12", "weight": 100}]}}})
OTHERS = RouteTable.model_validate({"routes": {"chat": {"lanes": [{"variant": "minilm-l6", "weight": 100}]}}})


def changed(live: Object, table: RouteTable) -> Object:
    return {**live, "spec": {**live["spec"], "serveConfigV2": with_routes(live, table)}}


def test_routes_go_in_and_come_out_and_nothing_else_changes() -> None:
    live = rayservice(make_fleet())
    assert declared_routes(live) == RouteTable()
    there = changed(live, ROUTES)
    assert declared_routes(there) == ROUTES
    assert there == rayservice(make_fleet(routes=ROUTES))  # the very text that `render --routes` writes
    before, after = (yaml.safe_load(each["spec"]["serveConfigV2"]) for each in (live, there))
    del after["applications"][0]["deployments"][0]["user_config"]
    assert before == after


def test_what_the_fleet_serves() -> None:
    assert served_only(rayservice(make_fleet())) == ()
    chosen = ("minilm-l12", "minilm-l6")
    assert served_only(rayservice(make_fleet(catalog=CATALOG.only(chosen), chosen=chosen))) == chosen


def test_a_manifest_without_routes_gets_those_that_are_there() -> None:
    made, live = rayservice(make_fleet()), rayservice(make_fleet(routes=ROUTES))
    assert declared_routes(carried_over(made, live)) == ROUTES
    assert carried_over(made, None) == made
    assert carried_over(made, rayservice(make_fleet())) == made
    own = rayservice(make_fleet(routes=OTHERS))
    assert carried_over(own, live) == own


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("applications: []", "has no deployment router in an application rerank: was it made by `rerank k8s render`"),
        ("just words", "has no deployment router"),
        ("{", "has no serveConfigV2 that can be read"),
        (
            "applications: [{name: rerank, deployments: [{name: router, user_config: {routes: {a: {lanes: []}}}}]}]",
            "the RayService declares routes that are none",
        ),
    ],
)
def test_what_is_not_ours_is_said(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        declared_routes({"spec": {"serveConfigV2": text}})
    with pytest.raises(ConfigurationError, match="no serveConfigV2 that can be read"):
        declared_routes({"spec": {}})
