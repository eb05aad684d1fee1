"""How far a student agrees with its teacher about held-out queries: two figures, each the mean over lists."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

Scores = Sequence[Sequence[float]]
DEPTH = 10


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of a student with its teacher."""

    tau: float
    """Kendall's tau-a over all pairs of a list's passages."""
    ndcg10: float
    """NDCG@10 of the student's order, with the sigmoid of the teacher's logit as a passage's gain."""


def agreement(student: Scores, teacher: Scores) -> Agreement:
    """Compare list by list; all logits."""
    pairs = [(np.asarray(s), np.asarray(t)) for s, t in zip(student, teacher, strict=True)]
    return Agreement(
        tau=float(np.mean([_tau(s, t) for s, t in pairs])), ndcg10=float(np.mean([_ndcg(s, t) for s, t in pairs]))
    )


def _tau(student: np.ndarray, teacher: np.ndarray) -> float:
    agreed = np.sign(student[:, None] - student) * np.sign(teacher[:, None] - teacher)
    count = len(student)
    return float(agreed.sum() / (count * (count - 1)))


def _ndcg(student: np.ndarray, teacher: np.ndarray) -> float:
    gains = 1 / (1 + np.exp(-teacher))
    discounts = 1 / np.log2(np.arange(2, DEPTH + 2))

    def dcg(order: np.ndarray) -> float:
        best = gains[order][:DEPTH]
        return float((best * discounts[: len(best)]).sum())

    return dcg(np.argsort(-student, kind="stable")) / dcg(np.argsort(-teacher, kind="stable"))
