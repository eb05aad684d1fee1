import pytest

from serve_app.cluster.clouds import Cloud
from serve_app.cluster.fleet import DRAIN_MARGIN_S
from serve_app.errors import ConfigurationError
from serve_app.settings import Limits
from tests.cluster.fleets import CATALOG, make_fleet


@pytest.mark.parametrize(
    "image", ["rerank", "registry.example.com/rerank:1.2", "rerank@sha256:abc", f"@sha256:{'0' * 64}"]
)
def test_an_image_that_can_change_is_refused(image: str) -> None:
    with pytest.raises(ConfigurationError, match="name it by its digest"):
        make_fleet(image=image)


def test_a_registry_with_a_port_is_fine() -> None:
    image = f"registry.example.com:5000/team/rerank@sha256:{'a' * 64}"
    assert make_fleet(image=image).image == image


@pytest.mark.parametrize(
    "host", ["", "localhost", "https://rerank.example.com", "Rerank.example.com", "-a.example.com"]
)
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError, match="is no DNS name"):
        make_fleet(host=host)


def test_without_gpus_only_what_comes_with_the_package_is_served() -> None:
    with pytest.raises(ConfigurationError, match="which minilm-l12 would need"):
        make_fleet(Cloud.NONE, catalog=CATALOG.only(["minilm-l12"]), chosen=("minilm-l12",))


def test_the_default_starts_at_once_and_with_names_all_of_them_do() -> None:
    assert [variant.name for variant in make_fleet().at_once()] == ["minilm-l12"]
    names = ("minilm-l6", "tiny-then-l12")
    fleet = make_fleet(catalog=CATALOG.only(names), chosen=names)
    assert [variant.name for variant in fleet.at_once()] == ["minilm-l6", "rerank-tiny", "minilm-l12"]


def test_a_pod_outlives_the_longest_request() -> None:
    fleet = make_fleet(limits=Limits(request_timeout_s=90.5))
    assert fleet.drain_s == 91 + DRAIN_MARGIN_S
    assert fleet.grace_s > fleet.drain_s
