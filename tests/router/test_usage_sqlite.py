"""What the SQLite sink has of its own: its file."""

import sqlite3
import stat
from datetime import date
from pathlib import Path

import pytest

from serve_app.errors import ConfigurationError, UsageUnavailable
from serve_app.router.charge import Account, Charge
from serve_app.router.usage_sqlite import SqliteSink

pytestmark = pytest.mark.anyio

TODAY = date(2026, 11, 30)
BATCH = {Account(TODAY, "a", "m"): Charge(requests=1, documents=2)}
DAY_S = 24 * 3_600


async def write(path: Path, *batch_ids: str) -> None:
    sink = SqliteSink(path)
    for batch_id in batch_ids:
        await sink.write(batch_id, BATCH)
    await sink.close()


def ask(path: Path, statement: str) -> list[tuple[object, ...]]:
    """What SQLite itself says of the file."""
    database = sqlite3.connect(path, isolation_level=None)
    rows = database.execute(statement).fetchall()
    database.close()
    return rows


async def test_the_file_is_for_its_owner_and_in_a_folder_that_was_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "usage.sqlite"
    sink = SqliteSink(path)
    await sink.write("one", BATCH)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    assert ask(path, "PRAGMA journal_mode") == [("wal",)]
    await sink.close()
    assert list(path.parent.iterdir()) == [path]  # its log is merged when it is closed


async def test_batches_are_forgotten_after_a_week(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    await write(path, "old", "young")
    ask(path, f"UPDATE batches SET at = at - {7 * DAY_S + 60} WHERE id = 'old'")
    ask(path, f"UPDATE batches SET at = at - {7 * DAY_S - 60} WHERE id = 'young'")
    await write(path, "new")
    assert ask(path, "SELECT id FROM batches ORDER BY id") == [("new",), ("young",)]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("PRAGMA user_version = 7", "has schema version 7, and this release reads 1"),
        ("CREATE TABLE notes (text)", "has schema version 0, and this release reads 1"),
    ],
)
def test_a_database_that_is_none_of_ours_is_refused_and_left_alone(tmp_path: Path, statement: str, said: str) -> None:
    path = tmp_path / "usage.sqlite"
    ask(path, statement)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=said):
        SqliteSink(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "letter.txt"
    path.write_text("This is a letter. " * 100)
    with pytest.raises(ConfigurationError, match=r"letter.txt cannot be used: file is not a database"):
        SqliteSink(path)
    assert path.read_text() == "This is a letter. " * 100


def test_a_path_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot be opened: .*Is a directory"):
        SqliteSink(tmp_path)


async def test_a_write_that_fails_leaves_nothing_and_is_possible_later(tmp_path: Path) -> None:
    path = tmp_path / "usage.sqlite"
    sink = SqliteSink(path)
    ask(path, "ALTER TABLE usage RENAME TO away")
    with pytest.raises(UsageUnavailable, match="cannot be read or written now: no such table") as failure:
        await sink.write("one", BATCH)
    assert str(tmp_path) not in str(failure.value)
    assert ask(path, "SELECT * FROM batches") == []
    ask(path, "ALTER TABLE away RENAME TO usage")
    await sink.write("one", BATCH)
    assert dict(await sink.read(TODAY, TODAY, None)) == BATCH
    await sink.close()
