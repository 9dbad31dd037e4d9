"""Where responses and conversations are kept: this process's memory, or an SQLite file. The only IO of this package.

A record is read or changed by its id, a few kilobytes at a time, within a millisecond or so; therefore it happens where
it is needed, in an event loop too. Records are kept as JSON text: nobody holds a part of one that another changes.
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
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Protocol, TypeAlias

from llm_adapter.provider import Json
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.settings import Settings

Change: TypeAlias = Callable[["Json | None"], "Json | None"]
RECORDS, BYTES = 1_000, 256_000_000  # kept in memory
FILED = 10_000  # records kept in a file


class Store(Protocol):
    """Records by id."""

    @property
    def place(self) -> str:
        """Where the records are, in a sentence, for what is not found there."""

    def read(self, key: str) -> Json | None: ...

    def change(self, key: str, change: Change) -> None:
        """Replace a record by what `change` makes of it, atomically; None is no record, before and after."""


class Memory:
    """This process's memory, shared by threads and event loops."""

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

    def __init__(self, path: str, records: int = FILED) -> None:
        self._path, self._records = path, records
        self.place = f"Responses are kept in the file that `response_store` names: {path}."
        with self._open() as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("CREATE TABLE IF NOT EXISTS records (id TEXT PRIMARY KEY, used INTEGER, record TEXT)")
            database.execute("CREATE INDEX IF NOT EXISTS by_use ON records (used)")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            # Prompts are in it: it is for its owner alone, and so are the files that SQLite puts beside it.
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            with closing(sqlite3.connect(self._path, timeout=10, isolation_level=None)) as database:
                # What was written survives the process; after a power cut, the last records may be missing.
                database.execute("PRAGMA synchronous = NORMAL")
                yield database
        except (OSError, sqlite3.Error) as error:
            raise SettingsError(
                f"`response_store` cannot be used: {self._path}: {error}; give a path that can be written to"
            ) from None

    @contextmanager
    def _alone(self) -> Iterator[sqlite3.Connection]:
        with self._open() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
            except BaseException:
                database.execute("ROLLBACK")
                raise
            database.execute("COMMIT")

    def read(self, key: str) -> Json | None:
        with self._alone() as database:
            found = _stored_record(database, key)
            database.execute("UPDATE records SET used = (SELECT MAX(used) + 1 FROM records) WHERE id = ?", (key,))
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
