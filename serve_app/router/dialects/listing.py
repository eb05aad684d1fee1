"""The model list, `GET /v1/models`: OpenAI's shape, with the catalog's figures, cascades and the live state of each."""

from typing import Literal

from pydantic import BaseModel, Field

from serve_app.catalog import Catalog, Figures, Served, Tier, Variant
from serve_app.plan import Stage
from serve_app.scoring import ScorerState, ScorerStatus

OURS = "rerank-serve"
"""Owns cascades: no hub account published them."""


class LiveState(BaseModel):
    """What the variant can do now; of a cascade, the least that one of its stages can."""

    status: ScorerStatus = Field(
        description="`idle`: no replica, the first request loads it; `starting`: a replica loads; `ready`; "
        "`unavailable`: see `reason`."
    )
    replicas: int
    device: str | None
    dtype: str | None
    reason: str | None


class Model(BaseModel):
    """One variant, or a cascade of variants."""

    id: str = Field(description="Hub id, of a cascade its name; `name` and `aliases` work as `model` as well.")
    object: Literal["model"] = "model"
    created: int = Field(description="Unix seconds at which this router started.")
    owned_by: str = Field(description="The hub account that published it; of a cascade, `rerank-serve`.")
    model_type: Literal["rerank"] = Field("rerank", description="Xinference's client looks for it.")
    name: str
    aliases: list[str]
    tier: Tier = Field(description="Of a cascade, that of its slowest stage; `tier:NAME` never chooses one.")
    default: bool = Field(description="Whether it answers requests that name no model.")
    pareto: bool = Field(description="Whether no other variant is at once as accurate and as fast.")
    licence: str
    languages: list[str]
    parameters: int
    price_per_1k_docs: float = Field(
        description="US dollars for 1,000 documents; of a cascade at most, as if every stage scored all of them."
    )
    figures: Figures | None = Field(description="Null for a cascade: none were published.")
    stages: list[Stage] = Field(description="Of a cascade: variants, and how many of its best each passes on.")
    state: LiveState


class ModelList(BaseModel):
    """All variants, then all cascades, in the catalog's order."""

    object: Literal["list"] = "list"
    data: list[Model]


def describe(catalog: Catalog, served: Served, state: ScorerState, created: int) -> Model:
    """The variant or cascade as clients see it."""
    variants = catalog.variants_of(served)
    return Model(
        id=served.id,
        created=created,
        owned_by=served.hub_id.split("/")[0] if isinstance(served, Variant) else OURS,
        name=served.name,
        aliases=list(served.aliases),
        tier=catalog.tier_of(served),
        default=served.name == catalog.default,
        pareto=served.name in catalog.pareto_front,
        licence=", ".join(dict.fromkeys(variant.licence for variant in variants)),
        languages=[each for each in variants[0].languages if all(each in v.languages for v in variants)],
        parameters=sum(variant.parameters for variant in variants),
        price_per_1k_docs=catalog.price_of(served),
        figures=served.figures if isinstance(served, Variant) else None,
        stages=[] if isinstance(served, Variant) else list(served.stages),
        state=LiveState(
            status=state.status,
            replicas=state.replicas,
            device=state.device,
            dtype=state.dtype,
            reason=state.reason,
        ),
    )
