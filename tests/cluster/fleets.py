"""Fleets to test with, and where their pods are in their manifests."""

from collections.abc import Iterator, Sequence
from typing import Any

from serve_app.catalog import Catalog
from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.cluster.clouds import Cloud
from serve_app.cluster.fleet import PLACEHOLDER_IMAGE, Fleet, Upgrade
from serve_app.cluster.manifests import manifests
from serve_app.cluster.objects import Object
from serve_app.settings import Limits

CATALOG = load_catalog(default_catalog_path()).with_default("minilm-l12")


def make_fleet(
    cloud: Cloud = Cloud.GKE,
    *,
    catalog: Catalog = CATALOG,
    chosen: tuple[str, ...] = (),
    upgrade: Upgrade = Upgrade.NEW_CLUSTER,
    **changes: Any,
) -> Fleet:
    if cloud is Cloud.NONE and not chosen:
        catalog, chosen = CATALOG.only(["rerank-tiny"]), ("rerank-tiny",)
    given: dict[str, Any] = {
        "image": PLACEHOLDER_IMAGE,
        "host": "rerank.example.com",
        "most_gpus": 4,
        "gateway_class": "istio",
        "limits": Limits(),
    }
    return Fleet(catalog=catalog, chosen=chosen, cloud=cloud, upgrade=upgrade, **{**given, **changes})


EVERY_FLEET = [make_fleet(cloud) for cloud in Cloud] + [make_fleet(upgrade=Upgrade.INCREMENTAL)]
EVERY_NAME = [f"{fleet.cloud}-{fleet.upgrade}" for fleet in EVERY_FLEET]


def pods(objects: Sequence[Object]) -> Iterator[tuple[str, Object]]:
    """Every pod template by what it is for: metadata and spec."""
    for each in objects:
        if each["kind"] == "RayService":
            cluster = each["spec"]["rayClusterConfig"]
            groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
            templates = [group["template"] for group in groups]
        else:
            templates = [each["spec"]["template"]] if "template" in each.get("spec", {}) else []
        for template in templates:
            yield template["metadata"]["labels"]["rerank-part"], template


def pods_of_fleet(fleet: Fleet) -> dict[str, Object]:
    return dict(pods(manifests(fleet).objects()))
