"""The file of API keys: who may ask, for what and how much.

A path comes in; checked records and the text of a new key go out. A key is `rr_<id>_<secret>`: the id is public, the
secret is 32 random bytes and is nowhere but with its owner. The file holds HMAC-SHA256 of the secret under a salt of
the record's own. A slow hash such as argon2 protects secrets that can be guessed; 256 random bits cannot be, so a
request's check costs microseconds. A file that is only read, as a mounted Secret is, need not be writable.
It knows no catalog (names of models are kept as they are written), no HTTP and no clock.
"""

import fcntl
import hmac
import os
import re
import secrets
import string
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from serve_app.errors import ConfigurationError

DialectName = Literal[
    "native", "cohere-v1", "cohere-v2", "jina", "tei", "vllm", "nim", "voyage", "infinity", "weaviate", "xinference"
]
State = Literal["valid", "revoked", "expired"]
Limit = Annotated[int, Field(gt=0)]
ModelName = Annotated[str, Field(min_length=1, max_length=200)]
Salt = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

SECRET_BYTES = 32
SALT_BYTES = 16
ID_LENGTH = 12
_ID_LETTERS = string.ascii_lowercase + string.digits
_KEY = re.compile(r"rr_([a-z0-9]{12})_([A-Za-z0-9_-]{43})")


class Scope(StrEnum):
    """What a key is good for."""

    RERANK = "rerank"
    ADMIN = "admin"
    """To see what every key has used, and to change routes."""
    LANES = "lanes"
    """To say which lane of a route is to answer."""


class _Block(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class PreviousSecret(_Block):
    """The secret that a rotation replaced, while it is still accepted."""

    salt: Salt
    hash: Hash
    until: AwareDatetime


class KeyTerms(_Block):
    """What a key is given when it is created; None is no limit, and all models."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    """For people; two keys may have the same."""
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)] = (Scope.RERANK,)
    models: Annotated[tuple[ModelName, ...], Field(min_length=1)] | None = None
    default_model: ModelName | None = None
    dialect: DialectName | None = None
    requests_per_minute: Limit | None = None
    documents_per_minute: Limit | None = None
    concurrent_documents: Limit | None = None
    monthly_budget_usd: Annotated[float, Field(gt=0)] | None = None
    expires: AwareDatetime | None = None


class KeyRecord(KeyTerms):
    """One key as the file holds it."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9]{12}$")]
    salt: Salt
    hash: Hash
    created: AwareDatetime
    revoked: AwareDatetime | None = None
    previous: PreviousSecret | None = None

    def accepts(self, secret: str, now: datetime) -> bool:
        """Whether this is the key's secret, or the one before it in its overlap; a revoked key's is one as well."""
        older = self.previous if self.previous is not None and now < self.previous.until else self
        # Two comparisons, whatever the first one says: the time of an answer tells nothing.
        newest, before = (hmac.compare_digest(_hash(secret, each.salt), each.hash) for each in (self, older))
        return newest or before

    def state(self, now: datetime) -> State:
        """Whether a request with this key is answered, and else why not."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and now >= self.expires else "valid"


class KeyFile(_Block):
    """The content of the file."""

    keys: tuple[KeyRecord, ...]

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        ids = [record.id for record in self.keys]
        if twice := sorted({each for each in ids if ids.count(each) > 1}):
            raise ValueError(f"more than one key has the id {', '.join(twice)}")
        return self


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A record and the text of its key: the only time that the text exists here."""

    record: KeyRecord
    text: str = field(repr=False)


def split_key(text: str) -> tuple[str, str] | None:
    """Id and secret of a key's text; None when it is no such text."""
    found = _KEY.fullmatch(text)
    return None if found is None else (found[1], found[2])


def read_keys(path: Path) -> tuple[KeyRecord, ...]:
    """The records of a file; raises ConfigurationError that says what is wrong, and shows no value of the file."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise ConfigurationError(f"there is no key file {path}: `rerank keys create` makes one") from None
    except OSError as error:
        raise ConfigurationError(f"the key file {path} cannot be read: {error.strerror}") from None
    try:
        return KeyFile.model_validate_json(content).keys
    except ValidationError as error:
        problems = [": ".join([*_place(e["loc"]), e["msg"].removeprefix("Value error, ")]) for e in error.errors()]
        raise ConfigurationError("\n  ".join([f"the key file {path} is wrong:", *problems])) from None


def add_key(path: Path, terms: KeyTerms, now: datetime) -> IssuedKey:
    """Add a key to the file, which is made when it is not there."""
    secret, salt = _secret_and_salt()
    identity = "".join(secrets.choice(_ID_LETTERS) for _ in range(ID_LENGTH))
    issued = {"id": identity, "salt": salt, "hash": _hash(secret, salt), "created": now}
    record = KeyRecord.model_validate(terms.model_dump() | issued)
    with _writing(path) as target:
        _replace(target, [*(read_keys(target) if target.exists() else ()), record])
    return IssuedKey(record, _text(record, secret))


def revoke_key(path: Path, identity: str, now: datetime) -> KeyRecord:
    """End a key now; one that was revoked before stays as it is."""
    return _update(path, identity, lambda record: record.model_copy(update={"revoked": record.revoked or now}))


def rotate_key(path: Path, identity: str, now: datetime, overlap: timedelta = timedelta()) -> IssuedKey:
    """Give a valid key a new secret; the old one is accepted until `overlap` has passed, and none before that one."""
    secret, salt = _secret_and_salt()

    def rotated(record: KeyRecord) -> KeyRecord:
        if (state := record.state(now)) != "valid":
            raise ConfigurationError(f"the key {record.id} is {state}: create another with `rerank keys create`")
        old = PreviousSecret(salt=record.salt, hash=record.hash, until=now + overlap) if overlap else None
        return record.model_copy(update={"salt": salt, "hash": _hash(secret, salt), "previous": old})

    record = _update(path, identity, rotated)
    return IssuedKey(record, _text(record, secret))


def _secret_and_salt() -> tuple[str, str]:
    return secrets.token_urlsafe(SECRET_BYTES), secrets.token_hex(SALT_BYTES)


def _hash(secret: str, salt: str) -> str:
    return hmac.digest(bytes.fromhex(salt), secret.encode(), "sha256").hex()


def _text(record: KeyRecord, secret: str) -> str:
    return f"rr_{record.id}_{secret}"


def _place(location: Sequence[str | int]) -> list[str]:
    return [".".join(map(str, location))] if location else []


def _update(path: Path, identity: str, change: Callable[[KeyRecord], KeyRecord]) -> KeyRecord:
    read_keys(path)  # a path that is mistyped should not be left a lock file
    with _writing(path) as target:
        records = {record.id: record for record in read_keys(target)}
        if identity not in records:  # not repeated: it may be a whole key, pasted by mistake
            raise ConfigurationError(f"the key file {path} has no key of that id; `rerank keys list` shows the ids")
        records[identity] = change(records[identity])
        _replace(target, list(records.values()))
    return records[identity]


@contextmanager
def _writing(path: Path) -> Iterator[Path]:
    """The file behind `path`, while no other process writes it; a failure to write becomes a ConfigurationError."""
    try:
        target = path.resolve()  # a link stays one, and what it points to is replaced
        # Not the file itself, which is replaced, and not its folder, which cannot be locked on NFS.
        lock = os.open(target.with_name(f"{target.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield target
        finally:
            os.close(lock)
    except OSError as error:
        raise ConfigurationError(f"the key file {path} cannot be written: {error.strerror}") from None


def _replace(target: Path, records: Sequence[KeyRecord]) -> None:
    """Readers see the old file or the new one, whole; the new one is readable by its owner alone."""
    content = KeyFile(keys=tuple(records)).model_dump_json(indent=2, exclude_none=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # of mode 0600
    temporary = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
