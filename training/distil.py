"""The training loop: lessons in, a student out. It can be stopped, and goes on after the last whole epoch.

Loss, of teacher's logits t and student's s: the Kullback-Leibler divergence of softmax(t) to softmax(s) over each list
(listwise: the order at its top), plus margin-MSE, the squared error of all differences within a list, which is twice
that of the logits less the list's mean (Hofstätter et al. 2020, arXiv:2010.02666), plus a little of the squared error
itself, so that the student's logits mean what the teacher's do.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor, nn

from serve_app.scorer.heads import CrossEncoder
from training.lessons import Lesson, LessonBatch, collate, plan_epoch

MARGIN = 0.05
POINT = 0.01


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a run is made of, besides its lessons."""

    seed: int
    epochs: int
    peak_rate: float = 1e-3
    """Of AdamW, after the first tenth of the steps; it falls to nothing by the end as a cosine does."""
    embedding_rate: float = 0.5
    """Times the rate for the embeddings, which start out with a meaning."""
    weight_decay: float = 0.01


@dataclass(frozen=True, slots=True)
class EpochReport:
    """How an epoch went."""

    epoch: int
    loss: float
    pairs: int
    seconds: float


class Run:
    """One run over one set of lessons; its state is in `checkpoint`."""

    def __init__(
        self, student: CrossEncoder, pad_id: int, lessons: Sequence[Lesson], recipe: Recipe, checkpoint: Path
    ) -> None:
        self.student = student
        self._pad_id = pad_id
        self._lessons = lessons
        self._recipe = recipe
        self._checkpoint = checkpoint
        self._steps = len(plan_epoch(lessons, recipe.seed, 0))
        self._optimizer = torch.optim.AdamW(
            self._groups(), betas=(0.9, 0.98), weight_decay=recipe.weight_decay, fused=True
        )
        total = self._steps * recipe.epochs
        self._schedule = torch.optim.lr_scheduler.OneCycleLR(
            self._optimizer,
            max_lr=[group["lr"] for group in self._optimizer.param_groups],
            total_steps=total + self._steps,  # epochs differ by a batch or two
            pct_start=0.1,
        )
        self.done = 0
        if checkpoint.is_file():
            self._restore(torch.load(checkpoint, weights_only=True))

    def epochs(self) -> Iterator[EpochReport]:
        """Train what is left, saving after each epoch."""
        columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
        with Progress(*columns) as progress:
            task = progress.add_task("training", total=self._steps * self._recipe.epochs)
            progress.update(task, completed=self._steps * self.done)
            while self.done < self._recipe.epochs:
                began = time.monotonic()
                losses, pairs = 0.0, 0
                for count, lists in enumerate(plan_epoch(self._lessons, self._recipe.seed, self.done), 1):
                    batch = collate(lists, self._pad_id)
                    losses += self._step(batch)
                    pairs += len(batch.logits)
                    told = f"epoch {self.done + 1}/{self._recipe.epochs}, loss {losses / count:.3f}"
                    progress.update(task, advance=1, description=told)
                self.done += 1
                self._save()
                yield EpochReport(self.done, losses / count, pairs, time.monotonic() - began)

    def _step(self, batch: LessonBatch) -> float:
        self.student.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            parts = [self.student(part.ids, part.segments, part.mask) for part in batch.parts]
        order = torch.cat([part.rows for part in batch.parts]).argsort()
        loss = distillation_loss(torch.cat(parts).float()[order], batch)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call] # torch 2.13 has no types for it
        nn.utils.clip_grad_norm_(self.student.parameters(), 1.0)
        self._optimizer.step()
        self._schedule.step()
        return float(loss.detach())

    def _groups(self) -> list[dict[str, Any]]:
        recipe, named = self._recipe, dict(self.student.named_parameters())
        tables = [parameter for name, parameter in named.items() if "embeddings" in name]
        others = [parameter for name, parameter in named.items() if "embeddings" not in name]
        return [
            {"params": tables, "lr": recipe.peak_rate * recipe.embedding_rate},
            {"params": others, "lr": recipe.peak_rate},
        ]

    def _save(self) -> None:
        state = {
            "student": self.student.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state_dict(),
            "random": torch.get_rng_state(),
            "done": self.done,
        }
        half = self._checkpoint.with_suffix(".half")
        torch.save(state, half)
        half.replace(self._checkpoint)

    def _restore(self, state: dict[str, Any]) -> None:
        self.student.load_state_dict(state["student"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        self.done = state["done"]


def distillation_loss(logits: Tensor, batch: LessonBatch) -> Tensor:
    """The loss of the student's `logits`, fp32 [rows]; a scalar."""
    there = batch.places >= 0
    places = batch.places.clamp(min=0)
    ours, theirs = logits[places], batch.logits[places]
    low = torch.finfo(ours.dtype).min
    wanted = theirs.masked_fill(~there, low).log_softmax(dim=1)
    given = ours.masked_fill(~there, low).log_softmax(dim=1)
    listwise = (wanted.exp() * (wanted - given)).masked_fill(~there, 0).sum(dim=1).mean()
    error = (ours - theirs).masked_fill(~there, 0)
    count = there.sum(dim=1, keepdim=True)
    centred = (error - error.sum(dim=1, keepdim=True) / count).masked_fill(~there, 0)
    margin = 2 * (centred.square().sum(dim=1) / count[:, 0]).mean()
    return listwise + MARGIN * margin + POINT * (error.square().sum(dim=1) / count[:, 0]).mean()
