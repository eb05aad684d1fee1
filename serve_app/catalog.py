"""The catalog: which variants and cascades exist, what they are called and cost, and how variants are served.

An immutable, cross-checked value: `catalog_file.py` reads it. It knows nothing of files, weights, devices
or requests.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from serve_app.errors import ConfigurationError
from serve_app.plan import Alias, Block, Cascade, Name, check_cascades, check_names, with_names

HubId = Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$", max_length=200)]


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


class TierRule(Block):
    """A tier holds the variants of at least this published speed that no faster tier holds."""

    min_docs_per_second: Annotated[float, Field(ge=0)]


class Figures(Block):
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


class Shape(Block):
    """Sizes of the transformer: what its speed depends on."""

    layers: Annotated[int, Field(ge=1)]
    hidden: Annotated[int, Field(ge=1)]
    heads: Annotated[int, Field(ge=1)]
    feed_forward: Annotated[int, Field(ge=1)]


TARGET_DOCUMENTS = 100
"""Of the request that `latency_target_ms` is about."""
Dtype = Literal["auto", "fp32", "fp16", "bf16", "int8"]


class Serving(Block):
    """How replicas of a variant are run when the catalog's reader does not say otherwise."""

    gpu_share: Annotated[float, Field(gt=0, le=1)]
    """Part of one V100 16 GB that a replica takes."""
    min_replicas: Annotated[int, Field(ge=0)] = 0
    max_replicas: Annotated[int, Field(ge=1)] = 8
    token_budget: Annotated[int, Field(ge=512)]
    """Most tokens of one forward pass on a GPU; a replica takes fewer where that is as fast."""
    latency_target_ms: Annotated[float, Field(gt=0)]
    """Within this a request of TARGET_DOCUMENTS is answered, waiting included: replicas are added for it."""
    idle_after_s: Annotated[float, Field(ge=0)] = 600.0
    """A variant that nobody asks for so long has no replica, where min_replicas is 0."""
    dtype: Dtype = "auto"
    """`auto`: the fastest that the device computes natively."""

    @model_validator(mode="after")
    def _check_replicas(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"min_replicas ({self.min_replicas}) is above max_replicas ({self.max_replicas})")
        return self


class Variant(Block):
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

    @model_validator(mode="after")
    def _check_target(self) -> Self:
        share, target = self.serving.gpu_share, self.serving.latency_target_ms
        alone_ms = 1_000 * TARGET_DOCUMENTS / (self.figures.docs_per_second_v100 * share)
        if alone_ms > target:
            raise ValueError(
                f"latency_target_ms is {target:g}, and {TARGET_DOCUMENTS} documents alone take {alone_ms:.0f} on "
                f"{share:g} of a V100: no number of replicas helps; allow more, or a larger gpu_share"
            )
        return self

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


Served = Variant | Cascade
"""What a request may name."""


class Catalog(Block):
    """All variants and cascades by name, and the one that answers when a request names none."""

    default: str
    tiers: dict[Tier, TierRule]
    variants: Annotated[dict[str, Variant], Field(min_length=1)]
    cascades: Annotated[dict[str, Cascade], Field(default_factory=dict)]

    @model_validator(mode="before")
    @classmethod
    def _give_names(cls, data: Any) -> Any:
        return with_names(data, "variants", "cascades")

    @model_validator(mode="after")
    def _cross_check(self) -> Self:
        if self.default not in self.variants and self.default not in self.cascades:
            raise ValueError(f"default names {self.default!r}, which is neither a variant nor a cascade")
        if missing := set(Tier) - set(self.tiers):
            raise ValueError(f"tiers lacks {', '.join(sorted(missing))}")
        check_cascades(self.cascades, self.variants)
        check_names((name, each.name) for each in self.every for name in each.names())
        for variant in self.variants.values():
            if (tier := self._tier_by_rule(variant)) != variant.tier:
                speed = variant.figures.docs_per_second_v100
                raise ValueError(f"variants.{variant.name}.tier: {speed:g} docs/s make it {tier}, not {variant.tier}")
        return self

    def _tier_by_rule(self, variant: Variant) -> Tier:
        fastest_first = sorted(self.tiers.items(), key=lambda rule: -rule[1].min_docs_per_second)
        speed = variant.figures.docs_per_second_v100
        return next((tier for tier, rule in fastest_first if speed >= rule.min_docs_per_second), fastest_first[-1][0])

    @property
    def every(self) -> tuple[Served, ...]:
        """The variants, then the cascades."""
        return (*self.variants.values(), *self.cascades.values())

    @property
    def default_served(self) -> Served:
        """What answers when a request names nothing."""
        return self.named(self.default)

    @cached_property
    def names(self) -> dict[str, str]:
        """Every name of every variant and cascade, case-folded, to its short name."""
        return {name.casefold(): each.name for each in self.every for name in each.names()}

    @cached_property
    def pareto_front(self) -> frozenset[str]:
        """Names of the variants that no other beats in published NDCG@10 and docs/s at once."""
        every = self.variants.values()
        return frozenset(v.name for v in every if not any(o.figures.dominates(v.figures) for o in every))

    def find(self, name: str) -> Served | None:
        """The variant or cascade of that name, hub id or alias, in any letter case."""
        key = self.names.get(name.casefold(), "")
        return self.variants.get(key) or self.cascades.get(key)

    def variants_of(self, served: Served) -> tuple[Variant, ...]:
        """Those that score for it: the variant itself, or one a stage."""
        return (served,) if isinstance(served, Variant) else tuple(self.variants[s.variant] for s in served.stages)

    def tier_of(self, served: Served) -> Tier:
        """A cascade's is that of its slowest stage."""
        return min(self.variants_of(served), key=lambda variant: variant.figures.docs_per_second_v100).tier

    def price_of(self, served: Served) -> float:
        """US dollars for 1,000 documents; of a cascade at most, as if every stage scored all of them."""
        return sum(variant.price_per_1k_docs for variant in self.variants_of(served))

    def only(self, names: Sequence[str]) -> "Catalog":
        """What has these names, and its stages; the first answers unless the default is one of them.

        Raises ConfigurationError for an unknown name.
        """
        chosen = {each.name: each for each in map(self.named, names)}
        return self._with(
            default=self.default if self.default in chosen else next(iter(chosen)),
            variants={variant.name: variant for each in chosen.values() for variant in self.variants_of(each)},
            cascades={name: each for name, each in chosen.items() if isinstance(each, Cascade)},
        )

    def with_default(self, name: str) -> "Catalog":
        """The same with another default; raises ConfigurationError for an unknown name."""
        return self._with(default=self.named(name).name)

    def in_dtype(self, dtype: Dtype) -> "Catalog":
        """The same variants, all computed in `dtype`."""
        changed = {
            name: v.model_copy(update={"serving": v.serving.model_copy(update={"dtype": dtype})})
            for name, v in self.variants.items()
        }
        return self._with(variants=changed)

    def _with(self, **changes: Any) -> "Catalog":
        fields = {name: getattr(self, name) for name in Catalog.model_fields}
        return Catalog(**{**fields, **changes})  # a copy would keep the cached names

    def named(self, name: str) -> Served:
        """What has this name; raises ConfigurationError where nothing has."""
        if (served := self.find(name)) is None:
            raise ConfigurationError(
                f"the catalog has no variant {name!r}; it has {', '.join(e.name for e in self.every)}"
            )
        return served
