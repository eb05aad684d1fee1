"""The catalog: which variants exist, what they are called, what they cost and how they are served.

An immutable, cross-checked value: `catalog_file.py` reads it. It knows nothing of files, weights, devices
or requests.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from serve_app.errors import ConfigurationError

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=63)]
HubId = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$", max_length=200)]
Alias = Annotated[str, Field(pattern=r"^[\w./-]+$", max_length=200)]


class Tier(StrEnum):
    """An accuracy/latency class; the catalog's `tiers` says by which speeds they are told apart."""

    FAST = "fast"
    BALANCED = "balanced"
    ACCURATE = "accurate"


class Architecture(StrEnum):
    """How a checkpoint is built; `scorer/heads.py` has one entry for each."""

    BERT = "bert"
    ELECTRA = "electra"
    ELECTRA_LINEAR = "electra-linear"
    DISTILBERT_CAT = "distilbert-cat"


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TierRule(_Block):
    """A tier holds the variants of at least this published speed that no faster tier holds."""

    min_docs_per_second: Annotated[float, Field(ge=0)]


class Figures(_Block):
    """Published figures (the MS MARCO cross-encoder table of the sentence-transformers documentation), or our own."""

    ndcg10: Annotated[float, Field(gt=0, le=100)]
    """NDCG@10 on TREC Deep Learning 2019, in percent."""
    mrr10: Annotated[float, Field(gt=0, le=100)] | None = None
    """MRR@10 on MS MARCO dev, in percent, where it has been measured."""
    docs_per_second_v100: Annotated[float, Field(gt=0)]
    """Documents per second on one V100."""

    def dominates(self, other: "Figures") -> bool:
        """Whether these are no worse in NDCG@10 and in docs/s, and better in one of them."""
        mine = (self.ndcg10, self.docs_per_second_v100)
        theirs = (other.ndcg10, other.docs_per_second_v100)
        return mine != theirs and all(m >= t for m, t in zip(mine, theirs, strict=True))


class Shape(_Block):
    """Sizes of the transformer: what its speed depends on."""

    layers: Annotated[int, Field(ge=1)]
    hidden: Annotated[int, Field(ge=1)]
    heads: Annotated[int, Field(ge=1)]
    feed_forward: Annotated[int, Field(ge=1)]


Dtype = Literal["auto", "fp32", "fp16", "bf16", "int8"]


class Serving(_Block):
    """How replicas of a variant are run when the catalog's reader does not say otherwise."""

    gpu_share: Annotated[float, Field(gt=0, le=1)]
    """Part of one V100 16 GB that a replica takes."""
    min_replicas: Annotated[int, Field(ge=0)] = 0
    max_replicas: Annotated[int, Field(ge=1)] = 8
    token_budget: Annotated[int, Field(ge=512)]
    """Padded tokens of one forward pass on a GPU."""
    dtype: Dtype = "auto"
    """`auto`: the fastest that the device computes natively."""

    @model_validator(mode="after")
    def _check_replicas(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas ({self.min_replicas}) is above max_replicas ({self.max_replicas})")
        return self


class Variant(_Block):
    """One servable model. `name` is its short name, `id` (the hub id) what clients are answered with."""

    name: Name
    hub_id: HubId
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$")]
    """A commit of the hub repository; of a bundled variant, the beginning of its weights' SHA-256."""
    bundled: bool = False
    """Whether its weights come with the package, and from nowhere else."""
    aliases: tuple[Alias, ...] = ()
    architecture: Architecture
    labels: Literal[1, 2]
    """Outputs of the head; with two, relevance is logit 1 minus logit 0."""
    weights_file: Literal["model.safetensors", "pytorch_model.bin"]
    weights_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """Pins the file's content as well, where it is known: a mirror of the hub may have others."""
    licence: str
    languages: tuple[str, ...]
    parameters: Annotated[int, Field(gt=0)]
    shape: Shape
    tier: Tier
    price_per_1k_docs: Annotated[float, Field(ge=0)]
    """US dollars for 1,000 documents."""
    figures: Figures
    serving: Serving

    @property
    def id(self) -> str:
        """The public identifier."""
        return self.hub_id

    @property
    def folder(self) -> str:
        """Name of its folder under a models directory: the last part of the hub id."""
        return self.hub_id.rsplit("/", 1)[-1]

    def names(self) -> Iterator[str]:
        """Every name it answers to."""
        yield from (self.name, self.hub_id, self.folder, *self.aliases)


class Catalog(_Block):
    """All variants by name, and the one that answers when a request names none."""

    default: str
    tiers: dict[Tier, TierRule]
    variants: Annotated[dict[str, Variant], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _give_names(cls, data: Any) -> Any:
        blocks = data.get("variants") if isinstance(data, dict) else None
        if not isinstance(blocks, dict):
            return data
        named = {k: {"name": k, **v} if isinstance(v, dict) else v for k, v in blocks.items()}
        return {**data, "variants": named}

    @model_validator(mode="after")
    def _cross_check(self) -> Self:
        if self.default not in self.variants:
            raise ValueError(f"default names {self.default!r}, which is not among the variants")
        if missing := set(Tier) - set(self.tiers):
            raise ValueError(f"tiers lacks {', '.join(sorted(missing))}")
        owner: dict[str, str] = {}
        for variant in self.variants.values():
            for name in map(str.casefold, variant.names()):
                if owner.setdefault(name, variant.name) != variant.name:
                    raise ValueError(f"{name!r} names both {owner[name]} and {variant.name}")
            if (tier := self._tier_by_rule(variant)) != variant.tier:
                speed = variant.figures.docs_per_second_v100
                raise ValueError(f"variants.{variant.name}.tier: {speed:g} docs/s make it {tier}, not {variant.tier}")
        return self

    def _tier_by_rule(self, variant: Variant) -> Tier:
        fastest_first = sorted(self.tiers.items(), key=lambda rule: -rule[1].min_docs_per_second)
        speed = variant.figures.docs_per_second_v100
        return next((tier for tier, rule in fastest_first if speed >= rule.min_docs_per_second), fastest_first[-1][0])

    @cached_property
    def names(self) -> dict[str, str]:
        """Every name of every variant, case-folded, to the variant's short name."""
        return {name.casefold(): v.name for v in self.variants.values() for name in v.names()}

    @cached_property
    def pareto_front(self) -> frozenset[str]:
        """Names of the variants that no other beats in published NDCG@10 and docs/s at once."""
        every = self.variants.values()
        return frozenset(v.name for v in every if not any(o.figures.dominates(v.figures) for o in every))

    def find(self, name: str) -> Variant | None:
        """The variant of that name, hub id or alias, in any letter case."""
        key = self.names.get(name.casefold())
        return None if key is None else self.variants[key]

    def only(self, names: Sequence[str]) -> "Catalog":
        """The variants of these names alone; the first answers by default unless the default is among them.

        Raises ConfigurationError for an unknown name.
        """
        chosen = {variant.name: variant for variant in map(self._named, names)}
        default = self.default if self.default in chosen else next(iter(chosen))
        return Catalog(default=default, tiers=self.tiers, variants=chosen)  # a copy would keep the cached names

    def with_default(self, name: str) -> "Catalog":
        """The same variants with another default; raises ConfigurationError for an unknown name."""
        return Catalog(default=self._named(name).name, tiers=self.tiers, variants=self.variants)

    def in_dtype(self, dtype: Dtype) -> "Catalog":
        """The same variants, all computed in `dtype`."""
        changed = {
            name: v.model_copy(update={"serving": v.serving.model_copy(update={"dtype": dtype})})
            for name, v in self.variants.items()
        }
        return Catalog(default=self.default, tiers=self.tiers, variants=changed)

    def _named(self, name: str) -> Variant:
        if (variant := self.find(name)) is None:
            raise ConfigurationError(f"the catalog has no variant {name!r}; it has {', '.join(self.variants)}")
        return variant
