"""The Ray Serve deployment that is the HTTP ingress: it wires the use case to the scorers' handles."""

from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve.handle import DeploymentHandle

from serve_app.catalog import Catalog
from serve_app.router.http import create_api
from serve_app.router.scorers import RayScorers
from serve_app.router.service import RerankService
from serve_app.settings import Limits


@serve.ingress()
class Router:
    """One replica of the router. `scorers` holds a handle for every variant of the catalog, by its name."""

    def __init__(self, catalog: Catalog, limits: Limits, scorers: dict[str, DeploymentHandle[Any]]) -> None:
        application = serve.get_replica_context().app_name
        self._service = RerankService(catalog, RayScorers(scorers, application), limits)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """What Ray Serve runs behind its proxy."""
        return create_api(self._service)
