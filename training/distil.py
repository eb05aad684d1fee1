"""The training loop: lessons in, a student out, in the time that it is given.

Loss, of teacher's logits t and student's s: the Kullback-Leibler divergence of softmax(t) to softmax(s) over each list
(listwise: the order at its top), plus margin-MSE, the squared error of all differences within a list, which is twice
that of the logits less the list's mean (Hofstätter et al. 2020, arXiv:2010.02666), plus a little of the squared error
itself, so that the student's logits mean what the teacher's do.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from serve_app.scorer.heads import CrossEncoder
from training.lessons import Collated, Lessons, collate, plan_epoch
from training.lines import Lines
from training.tokens import Gatherer

MARGIN = 0.05
POINT = 0.01


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run is made of, besides its lessons."""

    seed: int
    seconds: float
    """Of training."""
    parts: int
    """Of lists, a step."""
    peak_rate: float
    """Of AdamW, after the first part of the time; it falls to nothing by the end as a cosine does.

    Four times 1e-3 was too much for what the student starts with: after 222 small steps tau was 0.11, and not 0.25.
    """
    warm_up: float = 0.05
    """That part."""
    embedding_rate: float = 0.5
    """Times the rate for the embeddings, which start out with a meaning."""
    weight_decay: float = 0.01


@dataclass(frozen=True, slots=True)
class EpochReport:
    """How an epoch went; the last one may have been cut short."""

    epoch: int
    loss: float
    steps: int
    pairs: int
    seconds: float


class Run:
    """One run over one set of lessons."""

    def __init__(
        self,
        student: CrossEncoder,
        gatherer: Gatherer,
        lessons: Lessons,
        recipe: Recipe,
        lines: Lines,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.student = student.to(gatherer.device)
        self._gatherer = gatherer
        self._lessons = lessons
        self._recipe = recipe
        self._lines = lines
        self._clock = clock
        self._optimizer = torch.optim.AdamW(
            self._groups(), betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
        )

    def epochs(self) -> Iterator[EpochReport]:
        """Train until the time is over; what is done between two epochs counts too."""
        began, epoch = self._clock(), 0
        while self._clock() < began + self._recipe.seconds:
            epoch += 1
            yield self._epoch(epoch, began)

    def _epoch(self, number: int, began: float) -> EpochReport:
        self.student.train()
        first = self._clock()
        losses: Tensor | float = 0.0
        steps = pairs = 0
        for batch in plan_epoch(self._lessons, self._recipe.parts, self._recipe.seed, number):
            if (done := (self._clock() - began) / self._recipe.seconds) >= 1:
                break
            losses = losses + self._step(collate(batch, self._gatherer), rate_at(done, self._recipe))
            steps += 1
            pairs += len(batch.queries)
            speed = pairs / max(1e-9, self._clock() - first)
            self._lines.progress(f"training: {done:.0%}, epoch {number}, {speed:,.0f} pairs a second")
        return EpochReport(number, float(losses) / max(1, steps), steps, pairs, self._clock() - first)

    def _step(self, batch: Collated, rate: float) -> Tensor:
        """→ the loss, which is not waited for."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["times"]
        with torch.autocast(self._gatherer.device, dtype=torch.bfloat16):
            parts = [self.student(part.ids, part.segments, part.mask) for part in batch.parts]
        loss = distillation_loss(torch.cat(parts).float(), batch)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch 2.13 has no types for it
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self._optimizer.step()
        return loss.detach()

    def _groups(self) -> list[dict[str, Any]]:
        named = dict(self.student.named_parameters())
        tables = [parameter for name, parameter in named.items() if "embeddings" in name]
        others = [parameter for name, parameter in named.items() if "embeddings" not in name]
        return [{"params": tables, "times": self._recipe.embedding_rate}, {"params": others, "times": 1.0}]


def rate_at(done: float, recipe: Recipe) -> float:
    """The learning rate when that part of the time is over, 0 to 1."""
    if done < recipe.warm_up:
        return recipe.peak_rate * done / recipe.warm_up
    return recipe.peak_rate * (1 + math.cos(math.pi * (done - recipe.warm_up) / (1 - recipe.warm_up))) / 2


def distillation_loss(logits: Tensor, batch: Collated) -> Tensor:
    """The loss of the student's `logits`, fp32 [rows]; a scalar."""
    there = batch.places >= 0
    ours, theirs = logits[batch.places.clamp(min=0)], batch.logits
    low = torch.finfo(ours.dtype).min
    wanted = theirs.masked_fill(~there, low).log_softmax(dim=1)
    given = ours.masked_fill(~there, low).log_softmax(dim=1)
    listwise = (wanted.exp() * (wanted - given)).masked_fill(~there, 0).sum(dim=1).mean()
    error = (ours - theirs).masked_fill(~there, 0)
    count = there.sum(dim=1, keepdim=True)
    centred = (error - error.sum(dim=1, keepdim=True) / count).masked_fill(~there, 0)
    margin = 2 * (centred.square().sum(dim=1) / count[:, 0]).mean()
    return listwise + MARGIN * margin + POINT * (error.square().sum(dim=1) / count[:, 0]).mean()
