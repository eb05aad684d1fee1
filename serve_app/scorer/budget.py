"""What goes through a device at once: how many passes, and how many tokens through a GPU.

The latter by timing a few sizes, since it depends on the device and on the model.
"""

from collections.abc import Iterator, Mapping

LEAST = 2_048
"""Tokens of the smallest size that is tried."""
PASSES_AT_ONCE = 2
"""A GPU computes one while the next is made and waits for it. A CPU computes both, with half of its threads each, up to
1.6 times as fast: threads of one pass wait for each other a hundred times."""
NEARLY = 0.9
"""Of the best tokens/s: enough, for the smaller batch that a small request waits behind."""


def sizes(most: int) -> Iterator[int]:
    """Powers of two times LEAST, up to `most` tokens, which is the last."""
    size = LEAST
    while size < most:
        yield size
        size *= 2
    yield most


def smallest_nearly_fastest(seconds: Mapping[int, float]) -> int:
    """Given the seconds of a pass by its tokens, the fewest tokens whose rate is NEARLY that of the best size."""
    rates = {tokens: tokens / took for tokens, took in seconds.items()}
    enough = NEARLY * max(rates.values())
    return min(tokens for tokens, rate in rates.items() if rate >= enough)
