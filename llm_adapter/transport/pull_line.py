"""Progress of a pull that a call began by itself: shown while its lines come, where standard error is a terminal."""

from __future__ import annotations

import logging
import sys
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache
from time import monotonic
from typing import Any, TextIO

from llm_adapter.provider import Rejected
from llm_adapter.providers.ollama.progress import Progress, read
from llm_adapter.providers.ollama.types import PullProgress
from llm_adapter.transport.sending import family

_log = logging.getLogger("llm_adapter")
_EVERY = 0.1  # seconds between two pictures
_UNITS = ("B", "kB", "MB", "GB", "TB")


def telling(response: Any, model: str) -> None:
    """Have a response's lines shown while it is read."""
    _log.info("pulling %s", model)
    if sys.stderr is not None and sys.stderr.isatty():
        response.stream = _told(family(response))(response.stream, Line(model, sys.stderr))


class Line:
    """One line of a terminal that tells how far a pull is."""

    def __init__(self, model: str, terminal: TextIO) -> None:
        self._model = model
        self._terminal = terminal
        self._progress = Progress()
        self._rest = b""
        self._shown = 0.0

    def feed(self, data: bytes) -> None:
        """A piece of the stream. What is wrong with it is not said here: the call itself will."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        now = monotonic()
        try:
            told = [self._progress.feed(line, now) for line in map(read, lines) if line]
        except Rejected:
            return
        if told and (now - self._shown >= _EVERY or told[-1].done):
            self._shown = now
            self._write(f"pulling {self._model}: {picture(told[-1])}")

    def close(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        try:
            self._terminal.write(f"\r\x1b[K{text}")
            self._terminal.flush()
        except (OSError, ValueError):  # it is gone: that is no reason to stop
            pass


def picture(progress: PullProgress) -> str:
    """The progress in a few words: "42 %  1.2 GB of 4.9 GB  35.0 MB/s  1:45 left"."""
    if not progress.total:
        return progress.status
    parts = [f"{progress.percent:.0f} %", f"{size(progress.completed)} of {size(progress.total)}"]
    if progress.rate:
        parts.append(f"{size(progress.rate)}/s")
    if progress.eta and progress.phase == "transferring":
        minutes, seconds = divmod(round(progress.eta), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return "  ".join(parts)


def size(count: float) -> str:
    """A number of bytes as Ollama shows it: decimal units."""
    unit = 0
    while count >= 1000 and unit < len(_UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"


@lru_cache(maxsize=4)
def _told(http: Any) -> Any:
    return type("Told", (_Told, http.SyncByteStream, http.AsyncByteStream), {})


class _Told:
    """A body that is shown to a line while it is read."""

    def __init__(self, stream: Any, line: Line) -> None:
        self._stream = stream
        self._line = line

    def __iter__(self) -> Iterator[bytes]:
        for data in self._stream:
            self._line.feed(data)
            yield data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._stream:
            self._line.feed(data)
            yield data

    @property
    def elapsed(self) -> Any:
        """Where httpx2 looks for a response's `elapsed`."""
        return self._stream.elapsed

    def close(self) -> None:
        self._line.close()
        self._stream.close()

    async def aclose(self) -> None:
        self._line.close()
        await self._stream.aclose()
