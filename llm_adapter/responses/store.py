"""Where responses and conversations are kept: this process's memory, or an SQLite file. The only IO of this package.

Memory is read where it is needed. A file may be locked by others or lie on a slow disk: whoever uses a store that
`waits` does so outside the event loop. Records are kept as JSON text: nobody holds a part of one that another changes.
Both stores are bounded: the records that were not used for longest go first. Ids are random and cannot be listed, so
whoever knows one may read it, as with OpenAI's; that is why one memory serves all clients of the process.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeAlias

from llm_adapter.provider import Json, Rejected
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.settings import Settings

Change: TypeAlias = Callable[["Json | None"], "Json | None"]
RECORDS, BYTES = 1_000, 256_000_000  # kept in memory
FILED = 10_000  # records kept in a file
PATIENCE = 2  # seconds to wait for a lock on a file


class StoreUnavailable(Rejected):
    """The file cannot be read or written now: it is locked, damaged, read-only, or its disk is full."""

    def __init__(self, path: str, error: Exception) -> None:
        message = f"the responses in {path}, which `response_store` names, cannot be read or written: {error}"
        super().__init__(message, status=500, kind="api_error", code="response_store_unavailable")
        self.cause = f"{path}: {error}"


class Store(Protocol):
    """Records by id."""

    @property
    def waits(self) -> bool:
        """Whether its uses are to be outside the event loop: they wait for a disk, and for others."""

    @property
    def place(self) -> str:
        """Where the records are, in a sentence, for what is not found there."""

    def read(self, key: str) -> Json | None: ...

    def change(self, key: str, change: Change) -> None:
        """Replace a record by what `change` makes of it, atomically; None is no record, before and after."""


class Memory:
    """This process's memory, shared by threads and event loops."""

    waits = False
    place = (
        "Responses are kept in the memory of this process: where several workers answer, or after a restart, name one "
        "file for all of them in `response_store`."
    )

    def __init__(self, records: int = RECORDS, size: int = BYTES) -> None:
        self._records, self._size = records, size
        self._kept: OrderedDict[str, str] = OrderedDict()
        self._used = 0  # characters, which in JSON of ours are bytes
        self._lock = threading.Lock()

    def read(self, key: str) -> Json | None:
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return _record(self._kept[key])

    def change(self, key: str, change: Change) -> None:
        with self._lock:
            old = self._kept.get(key)
            new = change(_record(old) if old is not None else None)
            self._used -= len(self._kept.pop(key, ""))
            if new is not None:
                self._kept[key] = text = json.dumps(new)
                self._used += len(text)
            while len(self._kept) > self._records or (self._used > self._size and len(self._kept) > 1):
                self._used -= len(self._kept.popitem(last=False)[1])


class File:
    """An SQLite file, shared by threads and processes. Each use opens a connection, so that none crosses a fork."""

    waits = True

    def __init__(self, path: str, records: int = FILED) -> None:
        self._path, self._records = path, records
        self.place = f"Responses are kept in the file that `response_store` names: {path}."
        _check_file(Path(path))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            # Prompts are in it: it is for its owner alone, and so are the files that SQLite puts beside it.
            with suppress(PermissionError):  # a file that is only for reading can still be read
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            with closing(sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)) as database:
                # What was written survives the process; after a power cut, the last records may be missing.
                database.execute("PRAGMA synchronous = NORMAL")
                if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'by_use'").fetchone():
                    _make_tables(database)
                yield database
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(self._path, error) from None

    @contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:  # a disk that is full has ended it
                    database.execute("ROLLBACK")
                raise

    def read(self, key: str) -> Json | None:
        with self._open() as database:
            found = _stored_record(database, key)
            if found is not None:
                _mark_used(database, key)
        return found

    def change(self, key: str, change: Change) -> None:
        with self._alone() as database:
            new = change(_stored_record(database, key))
            database.execute("DELETE FROM records WHERE id = ?", (key,))
            if new is not None:
                insert = "INSERT INTO records SELECT ?, COALESCE(MAX(used), 0) + 1, ? FROM records"
                database.execute(insert, (key, json.dumps(new)))
                old = "SELECT id FROM records ORDER BY used DESC LIMIT -1 OFFSET ?"
                database.execute(f"DELETE FROM records WHERE id IN ({old})", (self._records,))  # noqa: S608 - our own


def _make_tables(database: sqlite3.Connection) -> None:
    """For a file that is new, or was deleted meanwhile."""
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE IF NOT EXISTS records (id TEXT PRIMARY KEY, used INTEGER, record TEXT)")
    database.execute("CREATE INDEX IF NOT EXISTS by_use ON records (used)")


def _mark_used(database: sqlite3.Connection, key: str) -> None:
    """Have the record kept longer than others. It is not worth waiting for."""
    database.execute("PRAGMA busy_timeout = 0")
    with suppress(sqlite3.OperationalError):
        database.execute("UPDATE records SET used = (SELECT MAX(used) + 1 FROM records) WHERE id = ?", (key,))


def _check_file(path: Path) -> None:
    """Raise `SettingsError` for what can never be a store, without waiting for anybody's lock."""
    try:
        with open(path, "rb") as file:
            start = file.read(16)
        problem = None if start in (b"", b"SQLite format 3\0") else "file is not a database"
    except PermissionError:
        problem = None
    except FileNotFoundError:
        problem = None if path.parent.is_dir() else "its folder does not exist"
    except OSError as error:
        problem = str(error)
    if problem:
        raise SettingsError(f"`response_store` cannot be used: {path}: {problem}; give a path that can be written to")


def _stored_record(database: sqlite3.Connection, key: str) -> Json | None:
    row = database.execute("SELECT record FROM records WHERE id = ?", (key,)).fetchone()
    return None if row is None else _record(row[0])


def _record(text: str) -> Json:
    record: Json = json.loads(text)
    return record


MEMORY = Memory()
_file = lru_cache(maxsize=32)(File)


def store_of(settings: Settings) -> Store:
    """The store that the settings name. Raises `SettingsError` for a file that cannot be used."""
    if settings.response_store is None:
        return MEMORY
    return _file(str(Path(settings.response_store).expanduser().absolute()))
