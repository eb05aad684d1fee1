import numpy as np
import pytest

from serve_app.scorer.packing import TokenIds
from serve_app.scorer.token_cache import ENTRY_BYTES, TokenCache

TEN_IDS = ENTRY_BYTES + 10 * 4


def _ids(start: int) -> TokenIds:
    return np.arange(start, start + 10, dtype=np.int32)


def test_what_was_put_is_found_and_counted() -> None:
    cache = TokenCache()
    assert cache.get("river") is None
    cache.put("river", _ids(1))
    found = cache.get("river")
    assert found is not None
    assert found.tolist() == list(range(1, 11))
    assert cache.get("sea") is None
    assert (cache.hits, cache.misses) == (1, 2)


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = TokenCache(most_bytes=2 * TEN_IDS)
    cache.put("river", _ids(1))
    cache.put("sea", _ids(2))
    cache.get("river")
    cache.put("bread", _ids(3))
    assert cache.get("sea") is None
    assert cache.get("river") is not None
    assert cache.get("bread") is not None


def test_the_same_text_twice_takes_its_room_once() -> None:
    cache = TokenCache(most_bytes=2 * TEN_IDS)
    for _ in range(5):
        cache.put("river", _ids(1))
    cache.put("sea", _ids(2))
    assert cache.get("river") is not None


def test_without_room_nothing_is_kept() -> None:
    cache = TokenCache(most_bytes=0)
    cache.put("river", _ids(1))
    assert cache.get("river") is None


def test_what_is_kept_cannot_be_written() -> None:
    cache = TokenCache()
    cache.put("river", _ids(1))
    found = cache.get("river")
    assert found is not None
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 7


def test_half_a_surrogate_pair_is_a_text_like_others() -> None:
    cache = TokenCache()
    cache.put("\ud800", _ids(1))
    assert cache.get("\ud800") is not None
