"""Progress of a pull that a call began by itself: shown while its lines come, where standard error is a terminal."""

from __future__ import annotations

import logging
import sys
from time import monotonic
from typing import Any, TextIO

from llm_adapter.provider import Rejected
from llm_adapter.providers.ollama.progress import Progress, read
from llm_adapter.providers.ollama.types import PullProgress
from llm_adapter.settings.sizes import size_text
from llm_adapter.transport.body import Observer, observe

_log = logging.getLogger("llm_adapter")
_EVERY = 0.1  # seconds between two updates


def show_pull(response: Any, model: str) -> None:
    """Have the progress of a pull shown while its response is read."""
    _log.info("pulling %s", model)
    if sys.stderr is not None and sys.stderr.isatty():
        observe(response, PullLine(model, sys.stderr))


class PullLine(Observer):
    """One line of a terminal that shows how far a pull is."""

    def __init__(self, model: str, terminal: TextIO) -> None:
        self._model = model
        self._terminal = terminal
        self._progress = Progress()
        self._rest = b""
        self._shown = 0.0

    def received(self, data: bytes) -> None:
        """Show a piece of the stream. A broken line is passed over here: the call itself raises for it."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        now = monotonic()
        try:
            steps = [self._progress.feed(line, now) for line in map(read, lines) if line]
        except Rejected:
            return
        if steps and (now - self._shown >= _EVERY or steps[-1].done):
            self._shown = now
            self._write(f"pulling {self._model}: {progress_text(steps[-1])}")

    def closing(self) -> None:
        self._write("")

    def _write(self, text: str) -> None:
        try:
            self._terminal.write(f"\r\x1b[K{text}")
            self._terminal.flush()
        except (OSError, ValueError):  # the terminal is gone: that is no reason to stop
            pass


def progress_text(progress: PullProgress) -> str:
    """How far a pull is, in a few words: "42 %  1.2 GB of 4.9 GB  35.0 MB/s  1:45 left"."""
    if not progress.total:
        return progress.status
    parts = [f"{progress.percent:.0f} %", f"{size_text(progress.completed)} of {size_text(progress.total)}"]
    if progress.rate:
        parts.append(f"{size_text(progress.rate)}/s")
    if progress.eta and progress.phase == "transferring":
        minutes, seconds = divmod(round(progress.eta), 60)
        parts.append(f"{minutes}:{seconds:02} left")
    return "  ".join(parts)
