"""How far two orders of the same documents agree. Pure: two orders in, best first, figures out."""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass

TOP = 10


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of one request's two orders."""

    overlap: float
    """Share of the first TOP of one that are among the first TOP of the other."""
    tau: float
    """Kendall's tau: 1 for the same order, -1 for the inverse, 0 for one that has nothing to do with the other."""
    same_first: bool


def compare(order: Sequence[int], other: Sequence[int]) -> Agreement:
    """Two orders of the same documents, by their places in the request."""
    top = min(TOP, len(order))
    return Agreement(
        overlap=len(set(order[:top]) & set(other[:top])) / top,
        tau=_tau(order, other),
        same_first=order[0] == other[0],
    )


def _tau(order: Sequence[int], other: Sequence[int]) -> float:
    """Without ties there is one tau: M. Kendall, "A new measure of rank correlation", Biometrika 1938."""
    pairs = len(order) * (len(order) - 1) // 2
    if not pairs:
        return 1.0
    rank = {place: number for number, place in enumerate(other)}
    seen: list[int] = []
    inversions = 0
    for place in order:  # insertion moves memory, which for 10,000 documents is faster than any tree in Python
        inversions += len(seen) - bisect_left(seen, rank[place])
        insort(seen, rank[place])
    return 1 - 2 * inversions / pairs
