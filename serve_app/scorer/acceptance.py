"""Published scores against ours: whether a variant, loaded as it is served, scores what its authors' code printed.

Always fp32 on the CPU, as the published scores were: this checks weights, head, label and tokenizer, not a device.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, model_validator

from serve_app.catalog import Variant
from serve_app.scorer.loading import LoadedModel, load_folder
from serve_app.scorer.manifest import read_manifest

EQUAL = 0.01
"""Logits that differ by no more are equal: the tolerance of sentence-transformers' own test of these models."""
CLOSE = 1.5
"""Logits of weights that are not the published file, such as restored from int8, may differ by this. One int8 rounding
step of noise in every matrix of MiniLM-L12 moved its six published pairs by standard deviations of 0.15 to 0.49; this
is three of the largest. A swapped label differs by more."""
STEEPEST = 0.25
"""Slope of the sigmoid at 0, its steepest: a bound of logits times this is one of probabilities."""


class PublishedSet(BaseModel):
    """One query and its documents; see `configs/published.yaml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    query: str
    documents: Sequence[str]
    logits: Mapping[str, Sequence[float]] = {}
    probabilities: Mapping[str, Sequence[float]] = {}
    best_first: Sequence[str] = ()

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        for hub_id, scores in (*self.logits.items(), *self.probabilities.items()):
            if len(scores) != len(self.documents):
                raise ValueError(f"{self.name}: {hub_id} has {len(scores)} scores for {len(self.documents)} documents")
        return self

    def concerns(self, variant: Variant) -> bool:
        """Whether it has anything to compare the variant with."""
        return variant.hub_id in {*self.logits, *self.probabilities, *self.best_first}


class Verdict(StrEnum):
    """What a comparison came to."""

    EQUAL = "equal"
    CLOSE = "close"
    IN_ORDER = "in order"
    WRONG = "WRONG"


@dataclass(frozen=True, slots=True)
class Comparison:
    """One document's score; `published` is None where only the order is known."""

    pair: str
    published: float | None
    ours: float
    verdict: Verdict

    @property
    def difference(self) -> float | None:
        """Ours minus published."""
        return None if self.published is None else self.ours - self.published


@dataclass(frozen=True, slots=True)
class Report:
    """All comparisons of one variant."""

    variant: Variant
    pinned: bool
    """The weights are the file of the pinned revision, by manifest or by the hub's cache."""
    comparisons: Sequence[Comparison]

    @property
    def bound(self) -> float:
        """By how much a logit may differ from the published one."""
        return EQUAL if self.pinned else CLOSE

    @property
    def passed(self) -> bool:
        """Pinned weights have to be equal; others have to be close."""
        allowed = {Verdict.EQUAL, Verdict.IN_ORDER} if self.pinned else set(Verdict) - {Verdict.WRONG}
        return all(comparison.verdict in allowed for comparison in self.comparisons)


def read_published(path: Path) -> Sequence[PublishedSet]:
    """The sets that come with the package."""
    return TypeAdapter(list[PublishedSet]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))


def verify(variant: Variant, folder: Path, sets: Sequence[PublishedSet]) -> Report:
    """Load the variant from the folder and compare; raises WeightsInvalid."""
    in_fp32 = variant.model_copy(update={"serving": variant.serving.model_copy(update={"dtype": "fp32"})})
    model = load_folder(in_fp32, folder, "cpu")
    mine = [each for each in sets if each.concerns(variant)]
    compared = [comparison for each in mine for comparison in _compare(variant, model, each)]
    return Report(variant, _is_pinned(variant, folder), compared)


def _is_pinned(variant: Variant, folder: Path) -> bool:
    manifest = read_manifest(folder)
    if manifest is not None:
        return manifest.describes(variant, folder)
    return folder.parent.name == "snapshots" and folder.name.startswith(variant.revision)  # the hub's cache


def _compare(variant: Variant, model: LoadedModel, published: PublishedSet) -> Iterator[Comparison]:
    logits = model.engine.run(model.tokenizer.rows_now(published.query, published.documents))
    pairs = [f"{published.name} {number}" for number in range(1, len(logits) + 1)]
    for pair, theirs, ours in zip(pairs, published.logits.get(variant.hub_id, ()), logits, strict=False):
        yield Comparison(pair, theirs, ours, _verdict(abs(ours - theirs) <= EQUAL, ours - theirs))
    for pair, theirs, logit in zip(pairs, published.probabilities.get(variant.hub_id, ()), logits, strict=False):
        ours = 1 / (1 + math.exp(-logit))
        equal = abs(ours - theirs) <= EQUAL * STEEPEST
        yield Comparison(pair, theirs, ours, _verdict(equal, logit - math.log(theirs / (1 - theirs))))
    if variant.hub_id in published.best_first:
        verdict = Verdict.IN_ORDER if sorted(logits, reverse=True) == logits else Verdict.WRONG
        yield from (Comparison(pair, None, ours, verdict) for pair, ours in zip(pairs, logits, strict=True))


def _verdict(equal: bool, logits_apart: float) -> Verdict:
    if equal:
        return Verdict.EQUAL
    return Verdict.CLOSE if abs(logits_apart) <= CLOSE else Verdict.WRONG
