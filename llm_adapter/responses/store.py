"""Where responses and conversations are kept: this process's memory, or an SQLite file. The only IO of this package.

A node holds what one turn adds, and the id of the node before it: nothing is stored twice. A response is a node. A
conversation is one too, without items; the node before it is its last turn. Those that hang together are a chain, which
is read by one query. Deleting a node leaves a hole, and a history with a hole is refused by whoever reads it.

Memory is an SQLite database as well, so that there is one way to do this. It is used where it is needed. A file may be
locked by others or lie on a slow disk: whoever uses a store that `waits` does so outside the event loop.

Ids are random and cannot be listed, so whoever knows one may read it, as with OpenAI's; that is why one memory serves
all clients of the process.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from llm_adapter.provider import Json, Rejected, parsed_json
from llm_adapter.settings.errors import SettingsError, warn_caller
from llm_adapter.settings.settings import Settings

LIMIT = 10_000  # nodes
MEMORY_BYTES = 256_000_000  # kept in memory, for images are in there
PATIENCE = 2  # seconds to wait for a lock on a file

# `nodes` and `size` of the totals and of the chains are right whatever adds or removes nodes.
_TABLES = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS response_nodes (
    number INTEGER PRIMARY KEY, -- in the order in which they were made
    id TEXT NOT NULL UNIQUE,
    parent TEXT,
    chain TEXT NOT NULL,
    size INTEGER NOT NULL,
    about TEXT, -- the conversation, or the response without its output; NULL where others are only made of it
    input TEXT NOT NULL,
    output TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS response_nodes_by_parent ON response_nodes (parent);
CREATE INDEX IF NOT EXISTS response_nodes_by_chain ON response_nodes (chain);
CREATE TABLE IF NOT EXISTS response_chains (id TEXT PRIMARY KEY, nodes INTEGER NOT NULL, used INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS response_chains_by_nodes ON response_chains (nodes, used);
CREATE INDEX IF NOT EXISTS response_chains_by_use ON response_chains (used);
CREATE TABLE IF NOT EXISTS response_totals (nodes INTEGER NOT NULL, size INTEGER NOT NULL, uses INTEGER NOT NULL);
INSERT INTO response_totals SELECT 0, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM response_totals);
CREATE TRIGGER IF NOT EXISTS response_node_added AFTER INSERT ON response_nodes BEGIN
    UPDATE response_totals SET nodes = nodes + 1, size = size + NEW.size, uses = uses + 1;
    INSERT OR IGNORE INTO response_chains VALUES (NEW.chain, 0, 0);
    UPDATE response_chains SET nodes = nodes + 1, used = (SELECT uses FROM response_totals) WHERE id = NEW.chain;
END;
CREATE TRIGGER IF NOT EXISTS response_node_removed AFTER DELETE ON response_nodes BEGIN
    UPDATE response_totals SET nodes = nodes - 1, size = size - OLD.size;
    UPDATE response_chains SET nodes = nodes - 1 WHERE id = OLD.chain;
    DELETE FROM response_chains WHERE id = OLD.chain AND nodes = 0;
END;
COMMIT;
"""
_ANCESTORS = """
WITH RECURSIVE path (place, id, parent) AS (
    SELECT 0, id, parent FROM response_nodes WHERE id = ?
    UNION ALL
    SELECT place + 1, node.id, node.parent FROM path JOIN response_nodes AS node ON node.id = path.parent
)
"""


_COLUMNS = "id, response_nodes.parent, about, input, output"


class StoreUnavailable(Rejected):
    """The file cannot be read or written now: it is locked, damaged, read-only, or its disk is full."""

    def __init__(self, path: str, error: Exception) -> None:
        message = f"the responses in {path}, which `response_store` names, cannot be read or written: {error}"
        super().__init__(message, status=500, kind="api_error", code="response_store_unavailable")
        self.cause = f"{path}: {error}"


@dataclass(frozen=True)
class Node:
    """A response, a conversation, or a turn of one. Items are in their full form."""

    id: str
    parent: str | None = None  # the node before it
    about: Json | None = None  # OpenAI's object, a response's without its output; None: only others are made of it
    input: list[Json] = field(default_factory=list)
    output: list[Json] = field(default_factory=list)

    @property
    def items(self) -> list[Json]:
        return [*self.input, *self.output]


@dataclass(frozen=True)
class History:
    """A node and what went before it."""

    node: Node
    before: list[Json]  # items
    missing: str | None = None  # the id of a node that is not there any more: what went before that one is unknown


class Memory:
    """This process's memory, shared by threads and event loops, and copied by a fork."""

    waits = False
    place = (
        "Responses are kept in the memory of this process: where several workers answer, or after a restart, name one "
        "file for all of them in `response_store`."
    )

    def __init__(self, size: int = MEMORY_BYTES) -> None:
        self.bytes_limit: int | None = size
        self.lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        with self.lock:
            if self._database is None:
                self._database = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
                self._database.executescript(_TABLES)
                weakref.finalize(self, self._database.close)
            yield self._database

    def purge(self, database: sqlite3.Connection) -> None:
        pass


class File:
    """An SQLite file, shared by threads and processes. Each use opens a connection, so that none crosses a fork."""

    waits = True
    bytes_limit = None

    def __init__(self, path: str) -> None:
        self._path = path
        self.place = f"Responses are kept in the file that `response_store` names: {path}."
        _check_file(Path(path))

    @contextmanager
    def opened(self) -> Iterator[sqlite3.Connection]:
        try:
            # Prompts are in it: it is for its owner alone, and so are the files that SQLite puts beside it.
            with suppress(PermissionError):  # a file that is only for reading can still be read
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
            with closing(sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)) as database:
                # What was written survives the process; after a power cut, the last records may be missing.
                database.execute("PRAGMA synchronous = NORMAL")
                database.execute("PRAGMA secure_delete = ON")
                # A file may be deleted at any time, and is made anew.
                if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'response_totals'").fetchone():
                    database.execute("PRAGMA journal_mode = WAL")
                    database.executescript(_TABLES)
                yield database
        except (OSError, sqlite3.Error) as error:
            raise StoreUnavailable(self._path, error) from None

    def purge(self, database: sqlite3.Connection) -> None:
        # The log still holds the pages as they were. Where somebody reads them now, the next deletion ends them, or
        # the last one to close the file.
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


class Store:
    """Nodes in a database. limit: the number of them; the oldest of the longest chains make room for newer ones."""

    def __init__(self, database: Memory | File, limit: int = LIMIT) -> None:
        self._database, self._limit = database, limit
        self.waits, self.place = database.waits, database.place

    def node(self, name: str) -> Node | None:
        """The response or conversation of that id."""
        with self._database.opened() as database:
            query = f"SELECT {_COLUMNS} FROM response_nodes WHERE id = ? AND about IS NOT NULL"  # noqa: S608 - our own
            row = database.execute(query, (name,)).fetchone()
            if row is not None:
                _mark_used(database, name)
        return None if row is None else _node(*row)

    def history(self, name: str) -> History | None:
        """The response or conversation of that id with all that went before it, read at one moment."""
        with self._database.opened() as database:
            past = _history(database, name)
            if past is not None:
                _mark_used(database, name)
        return past

    def add(self, node: Node, conversation: str | None = None) -> None:
        """Keep a node, and have it follow the last turn of a conversation, unless that was deleted meanwhile.

        Without `about` it is kept for its conversation alone.
        """
        with self._changing() as database:
            head = database.execute("SELECT parent FROM response_nodes WHERE id = ?", (conversation,)).fetchone()
            if head is None:
                if node.about is not None:
                    _insert(database, node)
            else:
                assert conversation is not None
                _append(database, node, conversation, head[0])
            evicted = self._evict(database)
        if evicted:
            most = self._database.bytes_limit
            size = f" or {most} bytes" if most else ""
            warn_caller(
                f"the response store is full: it keeps {self._limit} turns{size}, see `response_store_limit`."
                f" The oldest make room for newer ones, and what builds on them is refused. {self.place}"
            )

    def change_about(self, name: str, about: Json) -> None:
        with self._changing() as database:
            database.execute("UPDATE response_nodes SET about = ? WHERE id = ?", (json.dumps(about), name))

    def remove_item(self, conversation: str, item: str, turn: str) -> None:
        """Take an item out of a conversation, which is one turn of that id then. Responses keep what made them."""
        with self._changing(purge=True) as database:
            past = _history(database, conversation)
            if past is None:
                return
            database.execute("UPDATE response_nodes SET parent = NULL WHERE id = ?", (conversation,))
            _remove_unused(database, past.node.parent)
            kept = [one for one in past.before if one.get("id") != item]
            _append(database, Node(turn, input=kept), conversation, None)

    def remove(self, name: str) -> None:
        """Delete a response or a conversation, and the turns that nothing is made of any more."""
        with self._changing(purge=True) as database:
            query = "SELECT parent, chain FROM response_nodes WHERE id = ?"
            parent, chain = database.execute(query, (name,)).fetchone() or (None, "")
            if _is_among_ancestors(database, chain, name):
                # The conversation, whose last turn or an earlier one this is, has its items still.
                database.execute("UPDATE response_nodes SET about = NULL WHERE id = ?", (name,))
            else:
                database.execute("DELETE FROM response_nodes WHERE id = ?", (name,))
                _remove_unused(database, parent)

    @contextmanager
    def _changing(self, *, purge: bool = False) -> Iterator[sqlite3.Connection]:
        with self._database.opened() as database:
            database.execute("BEGIN IMMEDIATE")
            try:
                yield database
                database.execute("COMMIT")
            except BaseException:
                if database.in_transaction:  # a disk that is full has ended it
                    database.execute("ROLLBACK")
                raise
            if purge:
                self._database.purge(database)

    def _evict(self, database: sqlite3.Connection) -> int:
        """How many nodes had to go. One conversation pays for its own length, and not those of others.

        Chains of up to a hundredth of the limit count as equally long: of these, what was not used for longest goes.
        """
        evicted = 0
        while True:
            nodes, size = database.execute("SELECT nodes, size FROM response_totals").fetchone()
            most = self._database.bytes_limit
            if nodes <= 1 or (nodes <= self._limit and (most is None or size <= most)):
                return evicted
            long = "SELECT id FROM response_chains WHERE nodes > ? ORDER BY nodes DESC, used LIMIT 1"
            idle = "SELECT id FROM response_chains ORDER BY used LIMIT 1"
            chain = database.execute(long, (self._limit // 100,)).fetchone() or database.execute(idle).fetchone()
            # A conversation goes after its turns: it says what became of them.
            oldest = "SELECT number FROM response_nodes WHERE chain = ? AND id {} GLOB 'conv_*' ORDER BY number LIMIT 1"
            turn = database.execute(oldest.format("NOT"), chain).fetchone()
            number = turn or database.execute(oldest.format(""), chain).fetchone()
            database.execute("DELETE FROM response_nodes WHERE number = ?", number)
            evicted += 1


def _node(name: str, parent: str | None, about: str | None, given: str, output: str) -> Node:
    values = parsed_json(f"[{about or 'null'},{given},{output}]".encode())
    return Node(name, parent, *values)


def _history(database: sqlite3.Connection, name: str) -> History | None:
    query = f"{_ANCESTORS} SELECT {_COLUMNS} FROM path JOIN response_nodes USING (id) ORDER BY place DESC"  # noqa: S608 - our own
    *earlier, last = database.execute(query, (name,)).fetchall() or [None]
    if last is None or last[2] is None:
        return None
    # Thousands of small texts are parsed as one.
    before = parsed_json(f"[{','.join(text for *_, given, output in earlier for text in (given, output))}]".encode())
    return History(_node(*last), [item for some in before for item in some], (earlier or [last])[0][1])


def _insert(database: sqlite3.Connection, node: Node, chain: str | None = None) -> None:
    """chain: that of the node before it, if it is not given; its own, if there is none."""
    if chain is None:
        query = "SELECT chain FROM response_nodes WHERE id = ?"
        (chain,) = database.execute(query, (node.parent,)).fetchone() or (node.id,)
    texts = [None if node.about is None else json.dumps(node.about), json.dumps(node.input), json.dumps(node.output)]
    size = sum(len(text or "") for text in texts)
    database.execute("DELETE FROM response_nodes WHERE id = ?", (node.id,))
    insert = "INSERT INTO response_nodes (id, parent, chain, size, about, input, output) VALUES (?, ?, ?, ?, ?, ?, ?)"
    database.execute(insert, (node.id, node.parent, chain, size, *texts))


def _append(database: sqlite3.Connection, node: Node, conversation: str, head: str | None) -> None:
    """Have a node follow the last turn of a conversation, which is `head`."""
    if node.about is not None and node.parent != head:
        # Another writer's turn came meanwhile: the response keeps what it was made from, and the turn is one more node.
        _insert(database, node)
        node = replace(node, id=f"turn_{node.id}", about=None)
    _insert(database, replace(node, parent=head), conversation)
    database.execute("UPDATE response_nodes SET parent = ? WHERE id = ?", (node.id, conversation))


def _is_among_ancestors(database: sqlite3.Connection, name: str, ancestor: str) -> bool:
    """Whether a node went before a conversation of that name."""
    query = f"{_ANCESTORS} SELECT 1 FROM path WHERE id = ? AND place > 0"  # noqa: S608 - our own
    is_conversation = name.startswith("conv_")
    return is_conversation and database.execute(query, (name, ancestor)).fetchone() is not None


def _remove_unused(database: sqlite3.Connection, name: str | None) -> None:
    """Delete a turn, and those before it, as far as no response, conversation or other turn needs them."""
    while name is not None:
        row = database.execute("SELECT parent, about FROM response_nodes WHERE id = ?", (name,)).fetchone()
        used = database.execute("SELECT 1 FROM response_nodes WHERE parent = ?", (name,)).fetchone()
        if row is None or row[1] is not None or used is not None:
            return
        database.execute("DELETE FROM response_nodes WHERE id = ?", (name,))
        name = row[0]


def _mark_used(database: sqlite3.Connection, name: str) -> None:
    """Have the chain of a node kept longer than others. It is not worth waiting for."""
    chain = "id = (SELECT chain FROM response_nodes WHERE id = ?)"
    newer = f"SELECT uses FROM response_totals WHERE uses > (SELECT used FROM response_chains WHERE {chain})"  # noqa: S608 - our own
    uses = database.execute(newer, (name,)).fetchone()
    if uses is None:
        return
    database.execute("PRAGMA busy_timeout = 0")
    with suppress(sqlite3.Error):  # a lock, or a file that is only for reading
        database.execute("UPDATE response_totals SET uses = uses + 1")
        database.execute(f"UPDATE response_chains SET used = ? WHERE {chain}", (uses[0] + 1, name))  # noqa: S608 - our own


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


MEMORY = Memory()
if hasattr(os, "register_at_fork"):
    # No child begins in the midst of a change by another thread of its parent.
    os.register_at_fork(
        before=MEMORY.lock.acquire, after_in_parent=MEMORY.lock.release, after_in_child=MEMORY.lock.release
    )
_file = lru_cache(maxsize=32)(File)


def store_of(settings: Settings) -> Store:
    """The store that the settings name. Raises `SettingsError` for a file that cannot be used."""
    limit = settings.response_store_limit or LIMIT
    if settings.response_store is None:
        return Store(MEMORY, limit)
    return Store(_file(str(Path(settings.response_store).expanduser().absolute())), limit)
