"""How stages answer together. A plan and what its stages scored come in; who is scored next, one order, sums go out.

Pure: it knows no scorer, no clock and no request but by the places of its documents. A variant that answers alone is
a plan of one stage.

A later stage decides among the documents that it scored; those that it did not score follow in the order of the stage
before it. Logits of two models cannot be compared, and clients sort by score, cut at a score, or expect that none
rises down the list. So the logits of an earlier stage are lowered, all by the same amount, where the best of them
would be above the lowest of the stage over it: what sorts by score keeps the order, and inside a stage differences
stay what the model gave.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from serve_app.catalog import Catalog, Served, Variant
from serve_app.errors import InputTooLong
from serve_app.plan import Cascade
from serve_app.router.ranking import Ranked, Usage, rank
from serve_app.scoring import ScoreOutcome, ScorerState, ScorerStatus, Timings

_LEAST_FIRST: tuple[ScorerStatus, ...] = ("unavailable", "idle", "starting", "ready")


@dataclass(frozen=True, slots=True)
class Step:
    """A stage that a request goes through."""

    variant: Variant
    keep: int | None = None
    """How many of its best go on; None of the last one."""
    stage: int | None = None
    """Its place in the cascade, from 1; None of a variant that answers alone."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What a step scored: `outcome.logits[i]` is of the document at `places[i]` of the request, in rising order."""

    step: Step
    places: tuple[int, ...]
    outcome: ScoreOutcome

    def kept(self) -> tuple[int, ...]:
        """Places of the documents that go on, in rising order."""
        return tuple(sorted(self.places[ranked.index] for ranked in rank(self.outcome.logits, self.step.keep)))

    def ranked(self, top_n: int | None) -> list[Ranked]:
        """The `top_n` best (all when None), by their places in the request."""
        found = rank(self.outcome.logits, top_n)
        if self.step.stage is None:
            return list(found)
        return [Ranked(self.places[each.index], each.logit, self.step.stage) for each in found]


def steps(catalog: Catalog, served: Served, documents: int) -> tuple[Step, ...]:
    """The stages that a request of so many documents needs: one that would keep all it is given decides nothing."""
    if not isinstance(served, Cascade):
        return (Step(served),)
    needed: list[Step] = []
    left = documents
    for number, stage in enumerate(served.stages, 1):
        if stage.keep is None or stage.keep < left:
            needed.append(Step(catalog.variants[stage.variant], stage.keep, number))
            left = stage.keep or left
    return tuple(needed)


def merge(scored: Sequence[Scored], top_n: int | None) -> tuple[Ranked, ...]:
    """The `top_n` best (all when None) in one order, each document by the last stage that scored it."""
    *earlier, last = scored
    found = last.ranked(top_n)
    above = last.places
    for each in reversed(earlier):
        if len(found) == top_n:
            break
        taken = set(above)
        found += _lowered([r for r in each.ranked(None) if r.index not in taken], found[-1].logit)
        above = each.places
    return tuple(found[:top_n])


def _lowered(ranked: Sequence[Ranked], ceiling: float) -> list[Ranked]:
    by = max((each.logit for each in ranked), default=ceiling) - ceiling
    if by <= 0:
        return list(ranked)
    return [replace(each, logit=min(each.logit - by, ceiling)) for each in ranked]  # floats: x - (x - y) may be above y


def usage_of(scored: Sequence[Scored]) -> Usage:
    """What was computed: a document counts once in each stage that scored it."""
    return Usage(
        tokens=sum(each.outcome.tokens for each in scored),
        documents=sum(len(each.places) for each in scored),
        pairs=sum(each.outcome.pairs for each in scored),
    )


def timings_of(scored: Sequence[Scored]) -> Timings:
    """Milliseconds of all stages."""
    each = [part.outcome.timings for part in scored]
    return Timings(
        queue_ms=sum(t.queue_ms for t in each),
        tokenize_ms=sum(t.tokenize_ms for t in each),
        inference_ms=sum(t.inference_ms for t in each),
    )


def state_of(states: Sequence[ScorerState]) -> ScorerState:
    """What the variants of these states can do together: the least that one of them can."""
    if len(states) == 1:
        return states[0]
    devices, dtypes = {state.device for state in states}, {state.dtype for state in states}
    return ScorerState(
        min((state.status for state in states), key=_LEAST_FIRST.index),
        replicas=min(state.replicas for state in states),
        device=devices.pop() if len(devices) == 1 else None,
        dtype=dtypes.pop() if len(dtypes) == 1 else None,
        reason=next((state.reason for state in states if state.reason), None),
    )


def placed(error: InputTooLong, places: Sequence[int]) -> InputTooLong:
    """The error about a document of a later stage, by the document's place in the request."""
    head, _, place = (error.param or "").partition(".")
    if head != "documents" or not place.isdecimal():
        return error
    own = places[int(place)]
    return InputTooLong(error.message.replace(f"document {place} ", f"document {own} ", 1), f"documents.{own}")
