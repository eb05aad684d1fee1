"""What clients and platforms ask before they send a request: is it alive, is it ready, does it want a key."""

from http import HTTPStatus

from fastapi import FastAPI, Response

from serve_app import __version__
from serve_app.router.dialects import nim, weaviate, xinference
from serve_app.router.openapi import failures
from serve_app.router.service import RerankService


class _Probes:
    def __init__(self, service: RerankService, keys_wanted: bool) -> None:
        self._service = service
        self._keys_wanted = keys_wanted

    async def health(self) -> dict[str, str]:
        """Whether the router is alive."""
        return {"status": "ok"}

    async def ready(self) -> dict[str, str]:
        """Whether the default route can answer."""
        return {"status": "ready", "model": await self._service.ready()}

    async def nim_live(self) -> nim.NimHealth:
        """Whether the router is alive, as NIM says it."""
        return nim.health("Service is live.")

    async def nim_ready(self) -> nim.NimHealth:
        """Whether the default route can answer, as NIM says it."""
        await self._service.ready()
        return nim.health("Service is ready.")

    async def weaviate_live(self) -> Response:
        """Whether the router is alive, as Weaviate asks it."""
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def weaviate_ready(self) -> Response:
        """Whether the default route can answer, as Weaviate asks it."""
        await self._service.ready()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    async def weaviate_meta(self) -> weaviate.WeaviateMeta:
        """What answers, as Weaviate asks it when it starts."""
        return {"model": self._service.catalog.default_served.id, "version": __version__}

    async def cluster_auth(self) -> xinference.ClusterAuth:
        """Whether requests need a key, as Xinference says it."""
        return {"auth": self._keys_wanted}


def add_probes(api: FastAPI, service: RerankService, keys_wanted: bool) -> None:
    """The paths that answer without a key."""
    probes = _Probes(service, keys_wanted)
    for prefix in ("", "/tei", "/vllm", "/infinity"):
        api.get(f"{prefix}/health")(probes.health)
    api.get("/ready", responses=failures(503))(probes.ready)
    for prefix in ("", "/nim"):
        api.get(f"{prefix}/v1/health/live")(probes.nim_live)
        api.get(f"{prefix}/v1/health/ready", responses=failures(503))(probes.nim_ready)
    for prefix in ("", "/weaviate"):
        api.get(f"{prefix}/meta")(probes.weaviate_meta)
        api.get(f"{prefix}/.well-known/live", status_code=204)(probes.weaviate_live)
        api.get(f"{prefix}/.well-known/ready", status_code=204, responses=failures(503))(probes.weaviate_ready)
    for prefix in ("", "/xinference"):
        api.get(f"{prefix}/v1/cluster/auth")(probes.cluster_auth)
