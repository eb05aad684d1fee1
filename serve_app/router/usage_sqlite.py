"""A SQLite file as the ledger's sink. Batches of amounts come in, amounts by day, key and model go out.

Several processes of one machine may share the file, which has to be on a local disk: its write-ahead log does not
work over a network. A batch is one transaction and on the disk when `write` returns. What is charged for, grouping
and the time between two batches are not known here.

The standard library's sqlite3 on one thread, and not aiosqlite: there each statement is awaited by itself, and a
cancelled task leaves a transaction half done. Here a transaction is one call, which ends even if nobody waits.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple
from datetime import date
from pathlib import Path
from typing import TypeVar

from serve_app.errors import ConfigurationError, UsageUnavailable
from serve_app.router.charge import Account, Charge

T = TypeVar("T")
SCHEMA_VERSION = 1
_BUSY_TIMEOUT_S = 10.0
"""How long a transaction waits for those of other processes."""
_REMEMBER_BATCHES_S = 7 * 24 * 3_600
_SCHEMA = (
    "CREATE TABLE batches (id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID",
    "CREATE INDEX batches_at ON batches (at)",
    "CREATE TABLE usage (day TEXT, key TEXT, model TEXT, requests INTEGER NOT NULL, documents INTEGER NOT NULL, "
    "pairs INTEGER NOT NULL, tokens INTEGER NOT NULL, search_units INTEGER NOT NULL, nano_usd INTEGER NOT NULL, "
    "PRIMARY KEY (day, key, model)) WITHOUT ROWID",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_UPSERT = (
    "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (day, key, model) DO UPDATE SET "
    "requests = requests + excluded.requests, documents = documents + excluded.documents, "
    "pairs = pairs + excluded.pairs, tokens = tokens + excluded.tokens, "
    "search_units = search_units + excluded.search_units, nano_usd = nano_usd + excluded.nano_usd"
)
_READ = "SELECT * FROM usage WHERE day BETWEEN ? AND ? AND (? IS NULL OR key = ?)"
_SPENT = "SELECT key, SUM(nano_usd) FROM usage WHERE day BETWEEN ? AND ? GROUP BY key"


class SqliteSink:
    """Opens the file at `path`, created for its owner alone; raises ConfigurationError when it is none of ours."""

    def __init__(self, path: Path) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="usage")
        self._database = _open(path)

    async def write(self, batch_id: str, amounts: Mapping[Account, Charge]) -> None:
        """Add the amounts unless the batch was seen; raises UsageUnavailable."""
        rows = [(a.day.isoformat(), a.key, a.model, *astuple(charge)) for a, charge in amounts.items()]
        await self._in_thread(lambda: _add(self._database, batch_id, rows))

    async def read(self, first: date, last: date, key: str | None) -> list[tuple[Account, Charge]]:
        """What was added for these days; raises UsageUnavailable."""
        bounds = (first.isoformat(), last.isoformat(), key, key)
        rows = await self._in_thread(lambda: self._database.execute(_READ, bounds).fetchall())
        return [(Account(date.fromisoformat(day), key, model), Charge(*sums)) for day, key, model, *sums in rows]

    async def spent(self, month: date) -> Mapping[str, int]:
        """Nano dollars of each key in this month; raises UsageUnavailable."""
        bounds = (f"{month:%Y-%m}-01", f"{month:%Y-%m}-31")  # texts: no month ends after its 31st
        return dict(await self._in_thread(lambda: self._database.execute(_SPENT, bounds).fetchall()))

    async def close(self) -> None:
        """Close the file, after what is being written."""
        await self._in_thread(self._database.close)
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise UsageUnavailable(f"the usage file cannot be read or written now: {error}") from error


def _add(database: sqlite3.Connection, batch_id: str, rows: Sequence[tuple[str | int, ...]]) -> None:
    now = int(time.time())
    with database:
        database.execute("BEGIN IMMEDIATE")
        if database.execute("INSERT OR IGNORE INTO batches VALUES (?, ?)", (batch_id, now)).rowcount:
            database.executemany(_UPSERT, rows)
        database.execute("DELETE FROM batches WHERE at < ?", (now - _REMEMBER_BATCHES_S,))


def _open(path: Path) -> sqlite3.Connection:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite would leave the mode to the umask
        # Opened here and used on the one thread: never by two at once.
        database = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise ConfigurationError(f"usage file {path} cannot be opened: {error}") from error
    try:
        _prepare(database, path)
    except sqlite3.Error as error:
        database.close()
        raise ConfigurationError(f"usage file {path} cannot be used: {error}") from error
    except ConfigurationError:
        database.close()
        raise
    return database


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    with database:
        database.execute("BEGIN IMMEDIATE")  # of several processes that start at once, one makes the tables
        version = database.execute("PRAGMA user_version").fetchone()[0]
        tables = database.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        if version == 0 and tables == 0:
            for statement in _SCHEMA:
                database.execute(statement)
        elif version != SCHEMA_VERSION:
            raise ConfigurationError(
                f"usage file {path} has schema version {version}, and this release reads {SCHEMA_VERSION}: "
                "name another file, or run the release that wrote it"
            )
    database.execute("PRAGMA journal_mode = WAL")
