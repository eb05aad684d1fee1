"""The keyring: who a header belongs to, and what it says when it is nobody's."""

import logging
import os
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from serve_app.errors import ConfigurationError, Unauthenticated
from serve_app.key_file import IssuedKey, KeyTerms, Scope, add_key, revoke_key, rotate_key
from serve_app.router import keys
from serve_app.router.caller import Allowance, Caller
from serve_app.router.keys import Keyring
from tests.fakes import FakeClock

NOW = datetime.fromtimestamp(FakeClock().now, UTC)
HOUR = timedelta(hours=1)
NOT_VALID = "the API key is not valid: it was mistyped, or a newer one has replaced it"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


@pytest.fixture
def issued(path: Path) -> IssuedKey:
    return add_key(path, KeyTerms(name="web"), NOW)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def keyring(path: Path, issued: IssuedKey, clock: FakeClock) -> Keyring:
    return Keyring(path, clock)


def refusal(keyring: Keyring, authorization: str | None) -> str:
    with pytest.raises(Unauthenticated) as raised:
        keyring.caller(authorization)
    return str(raised.value)


def test_a_caller_has_what_its_record_says(path: Path, clock: FakeClock) -> None:
    terms = KeyTerms(
        name="team",
        scopes=(Scope.ADMIN,),
        models=("MiniLM-L6", "minilm-l2"),
        default_model="MiniLM-L6",
        dialect="jina",
        requests_per_minute=1,
        documents_per_minute=2,
        concurrent_documents=3,
        monthly_budget_usd=4.5,
    )
    issued = add_key(path, terms, NOW)
    models = frozenset({"MiniLM-L6", "minilm-l2"})
    expected = Caller(issued.record.id, False, True, models, "MiniLM-L6", "jina", Allowance(1, 2, 3), 4.5, True)
    assert Keyring(path, clock).caller(issued.text) == expected


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "BEARER   {}", " \tBearer\t{} ", "{}", "  {}  "])
def test_the_forms_of_the_header(keyring: Keyring, issued: IssuedKey, form: str) -> None:
    assert keyring.caller(form.format(issued.text)) == Caller(issued.record.id)


@pytest.mark.parametrize("authorization", [None, "", "  ", "Bearer", "bearer  "])
def test_a_missing_key_is_missing(keyring: Keyring, authorization: str | None) -> None:
    assert refusal(keyring, authorization) == "there is no API key: send it as `Authorization: Bearer KEY`"


@pytest.mark.parametrize("form", ["Basic {}", "Bearer Bearer {}", "Bearer{}", "Bearer {}x", "{} {}", "ключ", "sk-1"])
def test_what_is_no_key_is_not_valid(keyring: Keyring, issued: IssuedKey, form: str) -> None:
    assert refusal(keyring, form.format(issued.text, issued.text)) == NOT_VALID


def test_an_unknown_id_and_a_wrong_secret_say_and_cost_the_same(
    keyring: Keyring, issued: IssuedKey, path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    rotated = rotate_key(path, add_key(path, KeyTerms(name="other"), NOW).record.id, NOW, HOUR)
    clock.now += 1
    compared: list[int] = []

    def compare(one: str, other: str) -> bool:
        compared.append(len(one))
        return one == other

    monkeypatch.setattr("hmac.compare_digest", compare)
    secret = "x" * 43
    for identity in (issued.record.id, rotated.record.id, "0" * 12, "a" * 12):
        assert refusal(keyring, f"Bearer rr_{identity}_{secret}") == NOT_VALID
        assert compared == [64, 64]
        compared.clear()
    keyring.caller(issued.text)
    assert compared == [64, 64]


def test_a_revoked_key_is_told_so_when_its_secret_is_right(
    keyring: Keyring, issued: IssuedKey, path: Path, clock: FakeClock
) -> None:
    revoke_key(path, issued.record.id, NOW)
    clock.now += 1
    assert refusal(keyring, issued.text) == "the API key is revoked: ask the operator of this service for another"
    assert refusal(keyring, f"rr_{issued.record.id}_{'x' * 43}") == NOT_VALID


def test_a_key_expires_without_a_change_of_the_file(path: Path, clock: FakeClock) -> None:
    issued = add_key(path, KeyTerms(name="web", expires=NOW + HOUR), NOW)
    keyring = Keyring(path, clock)
    clock.now += 3_599
    assert keyring.caller(issued.text).key == issued.record.id
    clock.now += 1
    assert refusal(keyring, issued.text) == "the API key has expired: ask the operator of this service for another"
    assert refusal(keyring, f"rr_{issued.record.id}_{'x' * 43}") == NOT_VALID


def test_both_secrets_of_a_rotation_hold_in_its_overlap(
    keyring: Keyring, issued: IssuedKey, path: Path, clock: FakeClock
) -> None:
    rotated = rotate_key(path, issued.record.id, NOW, HOUR)
    clock.now += 1
    assert keyring.caller(issued.text) == keyring.caller(rotated.text)
    clock.now += 3_600
    assert refusal(keyring, issued.text) == NOT_VALID
    assert keyring.caller(rotated.text).key == issued.record.id


@pytest.mark.parametrize(("passed", "known"), [(0.9, False), (1.0, True), (-50, True)])
def test_a_new_key_is_known_after_a_second(
    keyring: Keyring, path: Path, clock: FakeClock, passed: float, known: bool
) -> None:
    added = add_key(path, KeyTerms(name="new"), NOW)
    clock.now += passed  # less than nothing: the clock was set back
    with nullcontext() if known else pytest.raises(Unauthenticated):
        assert keyring.caller(added.text).key == added.record.id


def test_a_file_that_has_not_changed_is_not_read(
    keyring: Keyring, path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued = add_key(path, KeyTerms(name="new"), NOW)
    clock.now += 1
    keyring.caller(issued.text)
    monkeypatch.delattr(keys, "read_keys")
    for _ in range(3):
        clock.now += 1
        keyring.caller(issued.text)


def test_a_mounted_secret_changes_by_a_link(tmp_path: Path, clock: FakeClock) -> None:
    issued = []
    for folder in ("..first", "..second"):
        (tmp_path / folder).mkdir()
        issued.append(add_key(tmp_path / folder / "keys.json", KeyTerms(name="web"), NOW))
        os.utime(tmp_path / folder / "keys.json", ns=(1, 1))
    (tmp_path / "..data").symlink_to("..first")
    (tmp_path / "keys.json").symlink_to("..data/keys.json")
    keyring = Keyring(tmp_path / "keys.json", clock)
    assert keyring.caller(issued[0].text).key == issued[0].record.id
    (tmp_path / "..new").symlink_to("..second")
    (tmp_path / "..new").replace(tmp_path / "..data")
    clock.now += 1
    assert keyring.caller(issued[1].text).key == issued[1].record.id
    assert refusal(keyring, issued[0].text) == NOT_VALID


def test_a_broken_file_keeps_the_old_keys_and_is_logged_once_a_change(
    keyring: Keyring, issued: IssuedKey, path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    whole = path.read_text()
    for breaking in (lambda: path.write_text(whole[:-30]), path.unlink):
        breaking()
        caplog.clear()
        for _ in range(3):
            clock.now += 1
            assert keyring.caller(issued.text).key == issued.record.id
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert str(path) in caplog.text
    added = add_key(path, KeyTerms(name="new"), NOW)
    clock.now += 1
    assert keyring.caller(added.text).key == added.record.id
    assert refusal(keyring, issued.text) == NOT_VALID


def test_a_file_that_comes_back_as_it_was_may_break_again(
    keyring: Keyring, issued: IssuedKey, path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    away = path.with_name("away")
    for _ in range(2):
        path.rename(away)
        clock.now += 1
        keyring.caller(issued.text)
        away.rename(path)
        clock.now += 1
        keyring.caller(issued.text)
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


def test_a_file_that_could_not_be_read_is_tried_again(
    keyring: Keyring, issued: IssuedKey, path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(path: Path) -> None:
        raise ConfigurationError("cannot be read: Permission denied")

    added = add_key(path, KeyTerms(name="new"), NOW)
    with monkeypatch.context() as without_permission:
        without_permission.setattr(keys, "read_keys", denied)
        clock.now += 1
        assert keyring.caller(issued.text).key == issued.record.id
    clock.now += 1
    assert keyring.caller(added.text).key == added.record.id


def test_a_keyring_does_not_start_without_its_file(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no key file"):
        Keyring(path)


def test_no_secret_is_logged_or_answered(
    keyring: Keyring, issued: IssuedKey, path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "ray.serve")
    said = [refusal(keyring, f"{issued.text}x")]
    content = path.read_text()
    path.write_text(content.replace(issued.record.hash, f"{issued.record.hash}0"))
    clock.now += 1
    keyring.caller(issued.text)
    path.write_text(content)
    revoke_key(path, issued.record.id, NOW)
    clock.now += 1
    said.append(refusal(keyring, issued.text))
    assert len(caplog.records) == 2
    for shown in (*said, caplog.text):
        for hidden in (issued.text[16:], issued.record.hash, issued.record.salt):
            assert hidden not in shown
