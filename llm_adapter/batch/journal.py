"""The results of a batch as they come: a file that survives the process, and becomes the output when all are there.

A result is one line, written at once and flushed to the disk within a second. A line that a crash has torn is cut off,
and its request is made again.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from llm_adapter.batch.lines import is_error
from llm_adapter.provider import Json
from llm_adapter.settings.errors import SettingsError

_FLUSH = 1.0  # seconds that a result may be in the system's memory alone

try:
    import fcntl
except ImportError:  # Windows, which refuses a second writer of an open file by itself
    fcntl = None  # type: ignore[assignment]


class Journal:
    """What is recorded of one batch, by the ids of its results. Only one process writes it. Closed by `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o600)
        try:
            self._lock()
            self._places = self._recorded()
        except BaseException:
            os.close(self._file)
            raise
        self._flushed = time.monotonic()

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __len__(self) -> int:
        return len(self._places)

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BusyError(f"another process works on {self.path}") from None

    def _recorded(self) -> dict[str, tuple[int, int]]:
        """Where each result stands; the file is cut after the last whole one."""
        places, end = dict[str, tuple[int, int]](), 0
        with open(self._file, "rb", closefd=False) as file:
            for line in file:
                try:
                    name = json.loads(line)["id"] if line.endswith(b"\n") else None
                except (ValueError, KeyError, TypeError):
                    name = None
                if name is None:
                    break
                places[name] = (end, len(line))
                end += len(line)
        os.ftruncate(self._file, end)
        return places

    def add(self, result: Json) -> None:
        """Record a result. Raises OSError where it cannot be: half a line is taken back."""
        line = json.dumps(result).encode() + b"\n"
        begin = os.fstat(self._file).st_size
        try:
            written = 0
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, begin)
            raise
        self._places[result["id"]] = (begin, len(line))
        if time.monotonic() - self._flushed > _FLUSH:
            self.flush()

    def flush(self) -> None:
        os.fsync(self._file)
        self._flushed = time.monotonic()

    def results(self, names: Iterable[str]) -> Iterator[bytes]:
        """The recorded lines of these results, in this order."""
        with open(self._file, "rb", closefd=False) as file:
            for name in names:
                begin, length = self._places[name]
                file.seek(begin)
                yield file.read(length)

    def finish(self, names: Iterable[str], output: Path, errors: Path) -> tuple[int, int]:
        """Write answers and errors, in this order, and forget the journal; how many of each there are.

        The output is there only when it is whole: both are written beside their places, and moved there at the end.
        """
        counts = [0, 0]
        with _Beside(output) as answers_file, _Beside(errors) as errors_file:
            for line in self.results(names):
                failed = is_error(json.loads(line))
                (errors_file if failed else answers_file).file.write(line)
                counts[failed] += 1
            if counts[1]:
                errors_file.move()
            else:
                errors.unlink(missing_ok=True)  # of an earlier run
            answers_file.move()
        self.path.unlink()
        return counts[0], counts[1]

    def close(self) -> None:
        with suppress(OSError):
            self.flush()
        os.close(self._file)


class BusyError(SettingsError):
    """Another process has the batch."""


class _Beside:
    """A file that is written beside its place; what is not moved there is deleted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._temporary = path.with_name(f"{path.name}.writing")
        self.file: BinaryIO = open(self._temporary, "wb")  # noqa: SIM115 - closed by move or __exit__

    def __enter__(self) -> _Beside:
        return self

    def move(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()
        os.replace(self._temporary, self._path)

    def __exit__(self, *error: object) -> None:
        self.file.close()
        self._temporary.unlink(missing_ok=True)
