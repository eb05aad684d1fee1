"""The keyring: the value of an `Authorization` header in, the caller whose key it is out.

It reads the key file again when that has changed, so that keys come and go while the service runs. It knows no
request, no model and no limit: what a key may do is written in the caller.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from serve_app.errors import ConfigurationError, Unauthenticated
from serve_app.key_file import KeyRecord, Scope, read_keys, split_key
from serve_app.router.caller import EVERYBODY, Allowance, Caller

LOOK_EVERY_S = 1.0
"""How old the view of the file may be; looking is one stat call."""
_NOBODY = KeyRecord(name="nobody", id="0" * 12, salt="0" * 32, hash="0" * 64, created=datetime.min.replace(tzinfo=UTC))
"""What the secret of an unknown id is compared with: no secret has this hash."""
_MISSING = "there is no API key: send it as `Authorization: Bearer KEY`"
_NOT_VALID = "the API key is not valid: it was mistyped, or a newer one has replaced it"
_NOT_ANY_MORE = {
    "revoked": "the API key is revoked: ask the operator of this service for another",
    "expired": "the API key has expired: ask the operator of this service for another",
}
_log = logging.getLogger("ray.serve")  # the one whose lines Ray Serve writes to the replica's log

Version = tuple[int, int, int] | None
"""Of a file, by its modification time, size and inode; None when it is not there."""


class Keys(Protocol):
    """Who may come in."""

    @property
    def wanted(self) -> bool:
        """Whether a request needs a key."""
        ...

    def caller(self, authorization: str | None) -> Caller:
        """Who sent this `Authorization` header; raises Unauthenticated."""
        ...


class NoKeys:
    """Open mode: everybody may come in."""

    wanted = False

    def caller(self, _: str | None) -> Caller:
        """Everybody, whatever they send."""
        return EVERYBODY


class Keyring:
    """The keys of one file, as it is now; raises ConfigurationError when it cannot be read at the start."""

    wanted = True

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._looked = clock()
        self._version = self._seen = _version(path)  # before reading: what is written in between is read again
        self._records = {record.id: record for record in read_keys(path)}

    def caller(self, authorization: str | None) -> Caller:
        """Who sent this header, `Bearer KEY` or the key alone; raises Unauthenticated.

        Why a key is not valid any more is told only to who has its secret.
        """
        now = self._clock()
        self._look(now)
        secret = _without_scheme(authorization or "")
        if not secret:
            raise Unauthenticated(_MISSING)
        return self._owner(secret, datetime.fromtimestamp(now, UTC))

    def _owner(self, key: str, now: datetime) -> Caller:
        parts = split_key(key)
        if parts is None:
            raise Unauthenticated(_NOT_VALID)
        identity, secret = parts
        record = self._records.get(identity, _NOBODY)
        if not record.accepts(secret, now):
            raise Unauthenticated(_NOT_VALID)
        if (state := record.state(now)) != "valid":
            raise Unauthenticated(_NOT_ANY_MORE[state])
        return _caller(record)

    def _look(self, now: float) -> None:
        """Read the file again if it has changed, at most once a second; while it is wrong, the old keys hold."""
        if 0 <= now - self._looked < LOOK_EVERY_S:  # a clock that was set back must not stop the looking
            return
        self._looked = now
        version, before = _version(self._path), self._seen
        self._seen = version
        if version == self._version:
            return
        try:
            records = read_keys(self._path)
        except ConfigurationError as error:  # read at every look until it is right, and logged once a change
            if version != before:
                _log.error("the API keys stay as they were: %s", error)
            return
        self._version = version
        self._records = {record.id: record for record in records}
        _log.info("the API keys were read again: %d", len(records))


def _version(path: Path) -> Version:
    try:
        found = path.stat()  # through links: a mounted Secret changes by changing one
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _without_scheme(header: str) -> str:
    """The key of a header's value; other schemes stay, and are no key."""
    scheme, *rest = header.split(maxsplit=1) or [""]
    return "".join(rest).strip() if scheme.casefold() == "bearer" else header.strip()


def _caller(record: KeyRecord) -> Caller:
    return Caller(
        key=record.id,
        may_rerank=Scope.RERANK in record.scopes,
        admin=Scope.ADMIN in record.scopes,
        may_choose_lane=Scope.LANES in record.scopes or Scope.ADMIN in record.scopes,
        models=None if record.models is None else frozenset(record.models),
        default_model=record.default_model,
        dialect=record.dialect,
        allowance=Allowance(record.requests_per_minute, record.documents_per_minute, record.concurrent_documents),
        monthly_budget_usd=record.monthly_budget_usd,
    )
