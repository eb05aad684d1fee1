"""A Redis server as the desk's store: the book as JSON under one key, and its version under another.

A book is written only over an older one, by one script, so that two services with one Redis, as during an upgrade of
the cluster, cannot overwrite each other's change.
"""

from contextlib import AbstractAsyncContextManager

from pydantic import ValidationError

from serve_app.errors import RoutesUnavailable
from serve_app.router.book import Book
from serve_app.router.redis_client import answering, connect

_BOOK = "rerank:routes:book"
_VERSION = "rerank:routes:version"
_KEEP = """
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then
  return 0
end
redis.call('MSET', KEYS[1], ARGV[1], KEYS[2], ARGV[2])
return 1
"""


class RedisStore:
    """Keeps the book in the server at `url`."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)

    async def newer(self, version: int) -> Book | None:
        """See Store."""
        async with _our_errors():
            if int(await self._redis.get(_VERSION) or 0) <= version:
                return None
            text = await self._redis.get(_BOOK)
        try:
            return Book.model_validate_json(text or "")
        except ValidationError:
            raise RoutesUnavailable(f"what Redis has under {_BOOK} is no book of routes of this version") from None

    async def keep(self, book: Book) -> bool:
        """See Store."""
        async with _our_errors():
            return bool(await self._redis.eval(_KEEP, 2, _VERSION, _BOOK, book.version, book.model_dump_json()))

    async def close(self) -> None:
        """Close the connections."""
        async with _our_errors():
            await self._redis.aclose()


def _our_errors() -> AbstractAsyncContextManager[None]:
    return answering(lambda kind: RoutesUnavailable(f"the routes cannot be read or written: Redis fails with {kind}"))
