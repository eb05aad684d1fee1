"""Token ids of documents that were scored before: a popular passage is tokenised once."""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from serve_app.scorer.packing import TokenIds

CACHE_BYTES = 64 * 2**20
"""Some 116,000 passages of MS MARCO, of 77 tokens."""
ENTRY_BYTES = 270
"""What an entry takes beside its ids: key, array and its place in the order (tracemalloc: 267, Python 3.11)."""

Key = bytes
"""16 bytes instead of the text; two texts with the same ones are not to be found."""


class TokenCache:
    """Ids by text, at most `most_bytes` of them; those that were used longest ago go first. For one thread."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self.hits = 0
        self.misses = 0
        self._most_bytes = most_bytes
        self._bytes = 0
        self._known: OrderedDict[Key, TokenIds] = OrderedDict()

    def find(self, texts: Sequence[str]) -> list[tuple[Key, TokenIds | None]]:
        """For each text its key and its ids, which are read only; None where they are not known."""
        found = [(key, self._known.get(key)) for key in map(_key, texts)]
        for key, ids in found:
            if ids is not None:
                self._known.move_to_end(key)
        known = sum(ids is not None for _, ids in found)
        self.hits += known
        self.misses += len(found) - known
        return found

    def keep(self, made: Iterable[tuple[Key, TokenIds]]) -> None:
        """Keep the ids of texts that were not found."""
        for key, ids in made:
            self._put(key, ids)

    def _put(self, key: Key, ids: TokenIds) -> None:
        if key in self._known:  # twice in one request
            return
        ids.flags.writeable = False
        self._known[key] = ids
        self._bytes += ids.nbytes + ENTRY_BYTES
        while self._bytes > self._most_bytes:
            _, oldest = self._known.popitem(last=False)
            self._bytes -= oldest.nbytes + ENTRY_BYTES


def _key(text: str) -> Key:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
