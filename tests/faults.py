"""Scorers with faults, and a catalog of variants that are one model: the bundled one, under several names.

A fleet that is given faults serves these instead of the real scorers; all else of it is real.
"""

import asyncio
import json
import os
import random
import shutil
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from serve_app.catalog import Catalog, Variant
from serve_app.errors import EngineFailure
from serve_app.scorer.deployment import Scorer, ScorerOptions
from serve_app.scorer.weights import BUNDLED
from serve_app.scoring import ScoreJob, ScoreOutcome
from tests.fleet import FAULTS


@dataclass(frozen=True)
class Fault:
    """What is wrong with a variant."""

    failing: float = 0.0
    """Share of its jobs that fail, but for those of one document: a lane has to score one before it gets traffic."""
    slower: float = 1.0
    """How many times as long it takes."""
    inverted: bool = False


class FaultyScorer(Scorer):
    """Scores as the real one does, and then does what is wrong with it."""

    def __init__(self, variant: Variant, options: ScorerOptions) -> None:
        super().__init__(variant, options)
        self._fault = Fault(**json.loads(os.environ[FAULTS]).get(variant.name, {}))

    async def score(self, job: ScoreJob) -> ScoreOutcome:
        began = time.monotonic()
        outcome = await super().score(job)
        if len(job.documents) > 1 and random.random() < self._fault.failing:
            raise EngineFailure("a fault that a test wants")
        await asyncio.sleep((self._fault.slower - 1) * (time.monotonic() - began))
        if not self._fault.inverted:
            return outcome
        logits = tuple(-logit for logit in outcome.logits)
        return ScoreOutcome(logits, outcome.tokens, outcome.pairs, outcome.timings, outcome.load)


def install() -> None:
    """Have the application that this process builds scored by FaultyScorer, where something is wrong."""
    import serve_app.app

    if json.loads(os.environ[FAULTS]):
        setattr(serve_app.app, Scorer.__name__, FaultyScorer)


def write_catalog(catalog: Catalog, names: Iterable[str], folder: Path) -> dict[str, str]:
    """Variants of these names with the bundled weights; returns the arguments of a fleet that serves them."""
    tiny = catalog.variants["rerank-tiny"]
    variants = {}
    for name in names:
        block = tiny.model_dump(mode="json", exclude={"name", "aliases", "bundled"})
        variants[name] = {**block, "hub_id": f"test/{name}"}
        shutil.copytree(BUNDLED / tiny.folder, folder / "models" / name)
    tiers = {tier.value: rule.model_dump() for tier, rule in catalog.tiers.items()}
    file = folder / "catalog.yaml"
    file.write_text(yaml.safe_dump({"default": next(iter(variants)), "tiers": tiers, "variants": variants}))
    return {"catalog": str(file), "models_dir": str(folder / "models"), "default": next(iter(variants))}


def as_argument(faults: Mapping[str, Fault]) -> dict[str, dict[str, Any]]:
    """What a fleet is given."""
    return {name: asdict(fault) for name, fault in faults.items()}
