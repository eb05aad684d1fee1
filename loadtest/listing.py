"""The models that a service lists: `GET /v1/models` in; names, ids and published figures out."""

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import httpx

from loadtest.service import checked


@dataclass(frozen=True, slots=True)
class Listing:
    """Each model by its id, which is how answers name it."""

    names: Mapping[str, str]
    ndcg10: Mapping[str, float]
    """As published; cascades have none."""

    def name(self, model: str) -> str:
        """Of an id; an id that is not listed is its own name."""
        return self.names.get(model, model)

    def require(self, names: Iterable[str]) -> None:
        """End the program where one is not listed."""
        if missing := sorted(set(names) - set(self.names.values())):
            listed = ", ".join(self.names.values())
            sys.exit(f"error: the service has no model {', '.join(missing)}; it lists {listed}")


async def list_models(http: httpx.AsyncClient) -> Listing:
    """What the service lists now."""
    models = checked(await http.get("/v1/models")).json()["data"]
    return Listing(
        {model["id"]: model["name"] for model in models},
        {model["id"]: model["figures"]["ndcg10"] for model in models if model.get("figures")},
    )
