"""The key file: what is written, what is read, and who may write at once."""

import json
import multiprocessing
import stat
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import repeat
from pathlib import Path

import pytest

from serve_app.errors import ConfigurationError
from serve_app.key_file import (
    IssuedKey,
    KeyTerms,
    Scope,
    add_key,
    read_keys,
    revoke_key,
    rotate_key,
    split_key,
)

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HASH = "ab" * 32
RECORD: dict[str, object] = {
    "id": "abcdefghij01",
    "name": "web",
    "scopes": ["rerank"],
    "salt": "cd" * 16,
    "hash": HASH,
    "created": "2026-11-25T12:00:00Z",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def _secret(issued: IssuedKey) -> str:
    parts = split_key(issued.text)
    assert parts is not None
    assert parts[0] == issued.record.id
    return parts[1]


def test_what_was_added_is_read(path: Path) -> None:
    terms = KeyTerms(
        name="team ü",
        scopes=(Scope.RERANK, Scope.ADMIN),
        models=("minilm-l6", "cross-encoder/ms-marco-MiniLM-L-2-v2"),
        default_model="MiniLM-L6",
        dialect="tei",
        requests_per_minute=60,
        documents_per_minute=1_000,
        concurrent_documents=100,
        monthly_budget_usd=12.5,
        expires=NOW + HOUR,
    )
    first, second = add_key(path, terms, NOW), add_key(path, KeyTerms(name="web"), NOW)
    assert read_keys(path) == (first.record, second.record)
    assert terms.model_dump().items() <= first.record.model_dump().items()
    assert second.record.scopes == (Scope.RERANK,)
    assert first.record.created == NOW


def test_the_file_holds_no_secret_and_is_its_owners_alone(path: Path) -> None:
    path.write_text('{"keys": []}')
    path.chmod(0o644)
    issued = add_key(path, KeyTerms(name="web"), NOW)
    issued = rotate_key(path, issued.record.id, NOW, HOUR)
    assert _secret(issued) not in path.read_text()
    assert _secret(issued) not in repr(issued)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert {each.name for each in path.parent.iterdir()} == {"keys.json", "keys.json.lock"}


def test_two_keys_share_nothing(path: Path) -> None:
    first, second = (add_key(path, KeyTerms(name="web"), NOW) for _ in range(2))
    assert len(_secret(first)) == 43
    assert first.record.accepts(_secret(first), NOW)
    assert not first.record.accepts(_secret(second), NOW)
    assert len({first.record.id, second.record.id}) == len({first.record.salt, second.record.salt}) == 2


@pytest.mark.parametrize("text", ["", "rr_", "rr_abcdefghij01_short", f"RR_abcdefghij01_{'x' * 43}"])
def test_what_is_no_key_is_not_split(text: str) -> None:
    assert split_key(text) is None
    assert split_key(f"rr_abcdefghij01_{'_' * 43}") == ("abcdefghij01", "_" * 43)
    assert split_key(f"rr_abcdefghij01_{'x' * 43}\n") is None


def test_a_revoked_key_keeps_the_time_when_it_was_first_revoked(path: Path) -> None:
    kept, ended = (add_key(path, KeyTerms(name=name), NOW).record for name in ("kept", "ended"))
    revoke_key(path, ended.id, NOW + HOUR)
    again = revoke_key(path, ended.id, NOW + 2 * HOUR)
    assert read_keys(path) == (kept, again)
    assert again.revoked == NOW + HOUR
    assert (kept.state(NOW), again.state(NOW)) == ("valid", "revoked")


def test_a_key_expires_at_its_time(path: Path) -> None:
    record = add_key(path, KeyTerms(name="web", expires=NOW + HOUR), NOW).record
    assert record.state(NOW + HOUR - timedelta(microseconds=1)) == "valid"
    assert record.state(NOW + HOUR) == "expired"


def test_a_rotation_changes_the_secret_and_nothing_else(path: Path) -> None:
    old = add_key(path, KeyTerms(name="web", requests_per_minute=7), NOW)
    new = rotate_key(path, old.record.id, NOW)
    assert read_keys(path) == (new.record,)
    secret = {"salt", "hash"}
    assert new.record.model_dump(exclude=secret) == old.record.model_dump(exclude=secret)
    assert new.record.accepts(_secret(new), NOW)
    assert not new.record.accepts(_secret(old), NOW)


def test_the_old_secret_of_a_rotation_ends_with_its_overlap(path: Path) -> None:
    first = add_key(path, KeyTerms(name="web"), NOW)
    second = rotate_key(path, first.record.id, NOW, HOUR)
    assert read_keys(path) == (second.record,)
    assert second.record.accepts(_secret(first), NOW + HOUR - timedelta(seconds=1))
    assert not second.record.accepts(_secret(first), NOW + HOUR)
    assert second.record.accepts(_secret(second), NOW + HOUR)
    third = rotate_key(path, first.record.id, NOW, HOUR).record
    assert [third.accepts(_secret(each), NOW) for each in (first, second)] == [False, True]


@pytest.mark.parametrize(("terms", "at", "state"), [({}, NOW, "revoked"), ({"expires": NOW + HOUR}, NOW, "expired")])
def test_a_key_that_is_not_valid_is_not_rotated(
    path: Path, terms: dict[str, datetime], at: datetime, state: str
) -> None:
    record = add_key(path, KeyTerms(name="web", expires=terms.get("expires")), at).record
    if state == "revoked":
        revoke_key(path, record.id, at)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=f"the key {record.id} is {state}: create another"):
        rotate_key(path, record.id, at + HOUR)
    assert path.read_bytes() == before


@pytest.mark.parametrize("change", [revoke_key, rotate_key])
def test_an_unknown_id_is_not_repeated(path: Path, change: Callable[[Path, str, datetime], object]) -> None:
    text = add_key(path, KeyTerms(name="web"), NOW).text
    with pytest.raises(ConfigurationError, match=r"has no key of that id; `rerank keys list`") as raised:
        change(path, text, NOW)
    assert text not in str(raised.value)


@pytest.mark.parametrize("change", [revoke_key, rotate_key])
def test_a_mistyped_path_is_left_as_it_is(path: Path, change: Callable[[Path, str, datetime], object]) -> None:
    with pytest.raises(ConfigurationError, match="there is no key file"):
        change(path, "abcdefghij01", NOW)
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"hash": HASH[:-1]}, "keys.0.hash: String should match pattern"),
        ({"hash": HASH, "scope": "admin"}, "keys.0.scope: Extra inputs are not permitted"),
        ({"scopes": []}, "keys.0.scopes: Tuple should have at least 1 item"),
        ({"scopes": ["root"]}, "keys.0.scopes.0: Input should be 'rerank', 'admin' or 'lanes'"),
        ({"models": []}, "keys.0.models: Tuple should have at least 1 item"),
        ({"created": "2026-11-25T12:00:00"}, "keys.0.created: Input should have timezone info"),
        ({"requests_per_minute": 0}, "keys.0.requests_per_minute: Input should be greater than 0"),
        ({"requests_per_minute": True}, "keys.0.requests_per_minute: Input should be a valid integer"),
        ({"monthly_budget_usd": float("inf")}, "keys.0.monthly_budget_usd: Input should be a finite number"),
        ({"dialect": "cohere"}, "keys.0.dialect: Input should be 'native', 'cohere-v1'"),
        ({"id": "Abcdefghij01"}, "keys.0.id: String should match pattern"),
    ],
)
def test_a_wrong_file_is_named_without_its_hashes(path: Path, changes: dict[str, object], complaint: str) -> None:
    path.write_text(json.dumps({"keys": [RECORD | changes]}))
    with pytest.raises(ConfigurationError) as raised:
        read_keys(path)
    assert str(raised.value).startswith(f"the key file {path} is wrong:\n  {complaint}")
    assert HASH[:-1] not in str(raised.value)
    assert raised.value.__suppress_context__


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "Invalid JSON"),
        (b"\xff", "Invalid JSON"),
        (b"[]", "Input should be an object"),
        (json.dumps({"keys": [RECORD, RECORD]}).encode(), "keys has the id abcdefghij01|key has the id abcdefghij01"),
    ],
)
def test_what_is_no_key_file_is_refused(path: Path, content: bytes, complaint: str) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=complaint):
        read_keys(path)
    with pytest.raises(ConfigurationError, match=complaint):
        add_key(path, KeyTerms(name="web"), NOW)
    assert path.read_bytes() == content


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        read_keys(tmp_path)


def test_a_file_that_cannot_be_written_stays(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_key(path, KeyTerms(name="web"), NOW)
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ConfigurationError, match="cannot be written: No space left on device"):
        add_key(path, KeyTerms(name="web"), NOW)
    assert path.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} == {"keys.json", "keys.json.lock"}


def test_a_link_to_the_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    path.symlink_to(tmp_path / "elsewhere" / "real.json")
    record = add_key(path, KeyTerms(name="web"), NOW).record
    assert path.is_symlink()
    assert read_keys(tmp_path / "elsewhere" / "real.json") == (record,)


def _processes() -> Executor:
    return ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn"))


@pytest.mark.parametrize("workers", [partial(ThreadPoolExecutor, 8), _processes], ids=["threads", "processes"])
def test_writers_at_once_lose_no_key(path: Path, workers: Callable[[], Executor]) -> None:
    with workers() as pool:
        issued = list(pool.map(add_key, repeat(path), [KeyTerms(name="web")] * 40, repeat(NOW)))
    assert {record.id for record in read_keys(path)} == {each.record.id for each in issued}
