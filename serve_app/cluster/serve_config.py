"""The Serve configuration of a fleet: what a RayService takes as its serveConfigV2.

A fleet comes in; the dict that Ray Serve reads goes out, with the arguments of `serve_app.app:build`. It knows neither
of those types, since both need Ray: a test checks the dict against them.
"""

from typing import Any

from serve_app.cluster.fleet import Fleet
from serve_app.cluster.objects import NAME, PART_LABEL, Part
from serve_app.settings import Limits

SERVE_PORT = 8000
KEYS_FILE = "/etc/rerank/keys/keys.json"
REDIS_PASSWORD_FILE = "/etc/rerank/redis/password"  # noqa: S105 - where it lies, and not what it is
REDIS_ADDRESS = f"{NAME}-redis:6379"
DESK = "traffic-desk"
"""As in `serve_app/app.py`: what several routers agree with."""
MODELS_DIR = "/models"


def serve_config(fleet: Fleet) -> dict[str, Any]:
    """One application, with the router's pods told apart from the scorers'."""
    on_router = {"label_selector": {PART_LABEL: Part.ROUTER.value}}
    router: dict[str, Any] = {
        "name": "router",
        "max_replicas_per_node": 1,  # so that a node takes one of them with it when it goes
        "ray_actor_options": {"num_cpus": 1, **on_router},
    }
    if fleet.routes.routes:
        router["user_config"] = fleet.routes.model_dump(mode="json")
    desk = {"name": DESK, "ray_actor_options": {"num_cpus": 0.1, **on_router}}
    return {
        "proxy_location": "EveryNode",
        "http_options": {"host": "0.0.0.0", "port": SERVE_PORT},  # noqa: S104 - only what NetworkPolicies let in
        "logging_config": {"encoding": "JSON"},
        "applications": [
            {
                "name": NAME,
                "route_prefix": "/",
                "import_path": "serve_app.app:build",
                "args": _arguments(fleet),
                "deployments": [router, desk] if fleet.routers > 1 else [router],
            }
        ],
    }


def _arguments(fleet: Fleet) -> dict[str, Any]:
    given: dict[str, Any] = {
        "default": fleet.catalog.default,
        "device": "cuda" if fleet.on_gpus else "cpu",
        "keys": KEYS_FILE,
        "redis_url": f"redis://{REDIS_ADDRESS}/0",
        "redis_password_file": REDIS_PASSWORD_FILE,
        "router_replicas": fleet.routers,
    }
    if fleet.chosen:
        given["variants"] = list(fleet.chosen)
    if fleet.pulled:
        given["models_dir"] = MODELS_DIR
    if fleet.limits != Limits():
        given["limits"] = fleet.limits.model_dump()
    return given
