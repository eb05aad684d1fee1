import numpy as np
import pytest

from serve_app.scorer.packing import TokenIds
from serve_app.scorer.token_cache import ENTRY_BYTES, TokenCache

TEN_IDS = ENTRY_BYTES + 10 * 4


def _ids(start: int) -> TokenIds:
    return np.arange(start, start + 10, dtype=np.int32)


def _keep(cache: TokenCache, text: str, ids: TokenIds) -> None:
    [(key, _)] = cache.find([text])
    cache.keep([(key, ids)])


def _get(cache: TokenCache, text: str) -> TokenIds | None:
    [(_, ids)] = cache.find([text])
    return ids


def test_what_was_kept_is_found_and_counted() -> None:
    cache = TokenCache()
    [(river, unknown), (sea, also_unknown)] = cache.find(["river", "sea"])
    assert (unknown, also_unknown) == (None, None)
    assert river != sea
    cache.keep([(river, _ids(1))])
    [(_, other), (key, found)] = cache.find(["sea", "river"])
    assert other is None
    assert key == river
    assert found is not None
    assert found.tolist() == list(range(1, 11))
    assert (cache.hits, cache.misses) == (1, 3)


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = TokenCache(most_bytes=2 * TEN_IDS)
    _keep(cache, "river", _ids(1))
    _keep(cache, "sea", _ids(2))
    _get(cache, "river")
    _keep(cache, "bread", _ids(3))
    assert _get(cache, "sea") is None
    assert _get(cache, "river") is not None
    assert _get(cache, "bread") is not None


def test_the_same_text_twice_takes_its_room_once() -> None:
    cache = TokenCache(most_bytes=2 * TEN_IDS)
    for _ in range(5):
        _keep(cache, "river", _ids(1))
    _keep(cache, "sea", _ids(2))
    assert _get(cache, "river") is not None


def test_without_room_nothing_is_kept() -> None:
    cache = TokenCache(most_bytes=0)
    _keep(cache, "river", _ids(1))
    assert _get(cache, "river") is None


def test_what_is_kept_cannot_be_written() -> None:
    cache = TokenCache()
    _keep(cache, "river", _ids(1))
    found = _get(cache, "river")
    assert found is not None
    with pytest.raises(ValueError, match="read-only"):
        found[0] = 7


def test_half_a_surrogate_pair_is_a_text_like_others() -> None:
    cache = TokenCache()
    _keep(cache, "\ud800", _ids(1))
    assert _get(cache, "\ud800") is not None
