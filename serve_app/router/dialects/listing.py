"""The model list, `GET /v1/models`: OpenAI's shape, with the catalog's figures and each variant's live state."""

from typing import Literal

from pydantic import BaseModel, Field

from serve_app.catalog import Catalog, Figures, Tier, Variant
from serve_app.scoring import ScorerState, ScorerStatus


class LiveState(BaseModel):
    """What the variant can do now."""

    status: ScorerStatus = Field(
        description="`idle`: no replica, the first request loads it; `starting`: a replica loads; `ready`; "
        "`unavailable`: see `reason`."
    )
    replicas: int
    device: str | None
    dtype: str | None
    reason: str | None


class Model(BaseModel):
    """One variant."""

    id: str = Field(description="Hub id; `name` and `aliases` work as `model` as well.")
    object: Literal["model"] = "model"
    created: int = Field(description="Unix seconds at which this router started.")
    owned_by: str = Field(description="The hub account that published it.")
    model_type: Literal["rerank"] = Field("rerank", description="Xinference's client looks for it.")
    name: str
    aliases: list[str]
    tier: Tier
    default: bool = Field(description="Whether it answers requests that name no model.")
    pareto: bool = Field(description="Whether no other variant is at once as accurate and as fast.")
    licence: str
    languages: list[str]
    parameters: int
    price_per_1k_docs: float = Field(description="US dollars for 1,000 documents.")
    figures: Figures
    state: LiveState


class ModelList(BaseModel):
    """All variants, in the catalog's order."""

    object: Literal["list"] = "list"
    data: list[Model]


def describe(catalog: Catalog, variant: Variant, state: ScorerState, created: int) -> Model:
    """The variant as clients see it."""
    return Model(
        id=variant.id,
        created=created,
        owned_by=variant.hub_id.split("/")[0],
        name=variant.name,
        aliases=list(variant.aliases),
        tier=variant.tier,
        default=variant.name == catalog.default,
        pareto=variant.name in catalog.pareto_front,
        licence=variant.licence,
        languages=list(variant.languages),
        parameters=variant.parameters,
        price_per_1k_docs=variant.price_per_1k_docs,
        figures=variant.figures,
        state=LiveState(
            status=state.status,
            replicas=state.replicas,
            device=state.device,
            dtype=state.dtype,
            reason=state.reason,
        ),
    )
