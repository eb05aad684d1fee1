"""The routes that a RayService declares: the router's `user_config` inside the text of serveConfigV2.

A RayService comes in as a dict; routes, or another text with other routes, go out. A change of that text alone is
applied in place, without another cluster. It knows neither the client nor what the routers make of it.
"""

from typing import Any

import yaml
from pydantic import ValidationError

from serve_app.cluster.objects import NAME, Object
from serve_app.errors import ConfigurationError
from serve_app.routes import RouteTable

ROUTER = "router"


def declared_routes(rayservice: Object) -> RouteTable:
    """Raises ConfigurationError for a RayService that is not ours."""
    given = _router(_config(rayservice)).get("user_config") or {}
    try:
        return RouteTable.model_validate(given)
    except ValidationError as error:
        raise ConfigurationError(f"the RayService declares routes that are none: {error.errors()[0]['msg']}") from None


def with_routes(rayservice: Object, table: RouteTable) -> str:
    """Its serveConfigV2 with these routes in place of what it declares."""
    config = _config(rayservice)
    _router(config)["user_config"] = table.model_dump(mode="json")
    return config_text(config)


def served_only(rayservice: Object) -> tuple[str, ...]:
    """Names of what its fleet serves; empty where it serves the whole catalog."""
    found: list[dict[str, Any]] = _config(rayservice).get("applications", [])
    return tuple(
        name for each in found if each.get("name") == NAME for name in each.get("args", {}).get("variants", ())
    )


def carried_over(made: Object, live: Object | None) -> Object:
    """A manifest without routes of its own, with those that the cluster's declares; else the manifest as it is.

    What was changed in place stays when an image changes.
    """
    if live is None or declared_routes(made).routes or not (table := declared_routes(live)).routes:
        return made
    return {**made, "spec": {**made["spec"], "serveConfigV2": with_routes(made, table)}}


def config_text(config: Object) -> str:
    """As every manifest has it, so that equal configurations are equal texts."""
    return yaml.safe_dump(config, sort_keys=False)


def _config(rayservice: Object) -> dict[str, Any]:
    try:
        config = yaml.safe_load(rayservice["spec"]["serveConfigV2"])
    except (KeyError, yaml.YAMLError) as error:
        raise ConfigurationError(f"the RayService has no serveConfigV2 that can be read: {error}") from None
    return config if isinstance(config, dict) else {}


def _router(config: dict[str, Any]) -> dict[str, Any]:
    for application in config.get("applications", ()):
        for deployment in application.get("deployments", ()):
            if application.get("name") == NAME and deployment.get("name") == ROUTER:
                found: dict[str, Any] = deployment
                return found
    raise ConfigurationError(
        f"the RayService's serveConfigV2 has no deployment {ROUTER} in an application {NAME}: was it made by "
        "`rerank k8s render`?"
    )
