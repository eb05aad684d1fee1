from pathlib import Path
from typing import Any

import pytest
from ray.serve.schema import ServeDeploySchema

from serve_app.app import DESK, DRAIN_MARGIN_S, AppArgs, deployment_options, redis_url, served_catalog
from serve_app.catalog import Catalog
from serve_app.catalog_file import load_routes, shipped_config
from serve_app.cluster import fleet as fleet_module
from serve_app.cluster.clouds import Cloud
from serve_app.cluster.fleet import Fleet
from serve_app.cluster.serve_config import serve_config
from serve_app.errors import ConfigurationError
from serve_app.routes import RouteTable
from serve_app.settings import Limits
from tests.cluster.fleets import CATALOG, EVERY_FLEET, EVERY_NAME, make_fleet
from tests.conftest import ROOT


def _arguments(fleet: Fleet) -> AppArgs:
    return AppArgs.model_validate(serve_config(fleet)["applications"][0]["args"])


@pytest.mark.parametrize("fleet", EVERY_FLEET, ids=EVERY_NAME)
def test_the_configuration_is_one_that_ray_and_the_application_take(fleet: Fleet) -> None:
    config = ServeDeploySchema.model_validate(serve_config(fleet))
    [application] = config.applications
    module, _, builder = application.import_path.partition(":")
    assert (Path(ROOT, *module.split(".")).with_suffix(".py").is_file(), builder) == (True, "build")
    assert served_catalog(_arguments(fleet)) == fleet.catalog
    names = [deployment.name for deployment in application.deployments]
    assert names == (["router", DESK] if _arguments(fleet).router_replicas > 1 else ["router"])  # those of app.py


@pytest.mark.parametrize("fleet", EVERY_FLEET, ids=EVERY_NAME)
def test_ray_reads_every_field(fleet: Fleet) -> None:
    assert _as_ray_reads(serve_config(fleet)) == serve_config(fleet)


def test_a_field_that_ray_does_not_read_is_noticed() -> None:
    config = serve_config(make_fleet())
    config["applications"][0]["deployments"][0]["max_replicas_per_nod"] = 1
    assert _as_ray_reads(config) != config


def _as_ray_reads(config: dict[str, Any]) -> dict[str, Any]:
    """Without what its schema ignores, which is everything that it has no name for (2.60.0)."""
    return ServeDeploySchema.model_validate(config).model_dump(mode="json", exclude_unset=True)


@pytest.mark.parametrize("chosen", [(), ("minilm-l6", "tiny-then-l12")])
def test_what_starts_at_once_is_what_the_application_starts(chosen: tuple[str, ...]) -> None:
    fleet = make_fleet(catalog=CATALOG.only(chosen) if chosen else CATALOG, chosen=chosen)
    args = _arguments(fleet)
    catalog = served_catalog(args)
    first = catalog.variants_of(catalog.default_served)
    started = {
        variant.name: deployment_options(variant, bool(args.variants) or variant in first, "cuda", args)
        for variant in catalog.variants.values()
    }
    replicas = [name for name, made in started.items() for _ in range(made["autoscaling_config"]["min_replicas"])]
    assert [variant.name for variant in fleet.at_once()] == replicas


def test_a_pod_drains_as_long_as_a_replica() -> None:
    assert fleet_module.DRAIN_MARGIN_S == DRAIN_MARGIN_S


def test_limits_are_passed_on_when_somebody_has_set_them() -> None:
    assert "limits" not in serve_config(make_fleet())["applications"][0]["args"]
    limits = Limits(request_timeout_s=90)
    assert _arguments(make_fleet(limits=limits)).limits == limits


def test_without_gpus_there_are_no_weights_to_mount() -> None:
    args = _arguments(make_fleet(Cloud.NONE))
    assert (args.device, args.models_dir, args.variants) == ("cpu", None, ("rerank-tiny",))


def test_the_password_of_redis_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("a/b:c@d\n")
    args = AppArgs.model_validate({"redis_url": "redis://rerank-redis:6379/0", "redis_password_file": file})
    assert redis_url(args) == "redis://:a%2Fb%3Ac%40d@rerank-redis:6379/0"
    named = AppArgs.model_validate({"redis_url": "redis://me:old@host:1/0", "redis_password_file": file})
    assert redis_url(named) == "redis://me:a%2Fb%3Ac%40d@host:1/0"
    file.unlink()
    with pytest.raises(ConfigurationError, match="the Redis password cannot be read from"):
        redis_url(args)


def test_routes_are_the_routers_user_config(catalog: Catalog) -> None:
    fleet = make_fleet(routes=load_routes(shipped_config("routes.yaml"), catalog))
    router = serve_config(fleet)["applications"][0]["deployments"][0]
    assert RouteTable.model_validate(router["user_config"]) == fleet.routes
    assert "user_config" not in serve_config(make_fleet())["applications"][0]["deployments"][0]
