"""Record and replay, at the level of the OpenAI call: what a test was answered once, it is answered again.

    with cassette("tests/cassettes/greeting.jsonl"):
        reply = openai.OpenAI().chat.completions.create(...)

It records the plain SDK's clients and ours, sync and async, streamed or not; the file says what was asked and answered
in OpenAI's own JSON, so that a cassette which was recorded on OpenAI answers after the switch, on any provider. Keys
and pictures do not get into it.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from llm_adapter.routing.connection import NO_KEY
from llm_adapter.settings.hosts import is_openai
from llm_adapter.testing.cassettes.matching import Shelf
from llm_adapter.testing.cassettes.scrubbing import Hook, Scrubber
from llm_adapter.testing.cassettes.tape import (
    CassetteError,
    Line,
    RecordedRequest,
    display_path,
    load_lines,
    save_lines,
)
from llm_adapter.testing.cassettes.tapping import Record, tap_clients
from llm_adapter.testing.recording import MODES, Mode, chosen

__all__ = ["MODES", "Cassette", "CassetteError", "CassetteWarning", "Line", "Mode", "cassette"]

_active: list[Cassette] = []


class CassetteWarning(UserWarning):
    """A cassette holds calls that the test no longer makes."""


class Cassette:
    """One cassette while a test runs with it."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        mode: Mode | None = None,
        *,
        ignore: Sequence[str] | str = (),
        strict: bool = False,
        scrub: Hook | None = None,
        near: Callable[[Path], str] | None = None,
    ) -> None:
        """near: says which other file may be the one, where this one is missing."""
        self.path = Path(path).absolute()
        self._chosen = chosen(mode)
        self.mode: Mode = self._chosen.mode
        there = self.path.is_file()
        self.recording = self.mode == "all" or (self.mode == "once" and not there)
        self.lines = load_lines(self.path) if there and not self.recording else []
        self._there = there
        self._near = near
        self._strict = strict
        self._scrubber = Scrubber(os.environ, scrub)
        ways = (ignore,) if isinstance(ignore, str) else ignore
        self._shelf = Shelf(self.path, self.lines, ways, self._chosen.to("all"))
        self._records: list[Record] = []
        self._missed: CassetteError | None = None
        self._lock = threading.Lock()
        self._fake: Any = None

    def replay_on(self, fake: Any) -> Cassette:
        """Have a fake server say what was recorded, so that a call goes all the way through its provider's translation.

        The test's client has to be one for the fake server. Each call is looked up as ever; its recorded reply becomes
        the server's next turn.
        """
        if self.recording:
            raise CassetteError(f"{self.path} is not recorded yet: run the test without replay_on first")
        self._fake = fake
        return self

    # --- what a tapped client asks: `tapping.Deck`

    def find_line(self, client: Any, call: RecordedRequest) -> Line | None:
        __tracebackhide__ = True
        if isinstance(key := getattr(client, "api_key", None), str) and key != NO_KEY:
            self._scrubber.learn([key])
        if self.recording:
            return None
        try:
            if not self._there:
                raise CassetteError(
                    f"there is no cassette at {display_path(self.path)}, which {call} was to be answered from, and "
                    f"none is recorded: {self._chosen.why}\n{self._near(self.path) if self._near else ''}"
                    f"To record it, where the model can be reached: {self._chosen.to('once')}"
                )
            return self._shelf.take(self._scrubber.clean_request(call))
        except CassetteError as error:
            self._missed = self._missed or error
            raise

    def replays(self, line: Line) -> bool:
        if self._fake is None:
            return True
        from llm_adapter.testing.cassettes.matching import script_reply

        return not script_reply(self._fake, line)

    def begin_record(self, client: Any) -> Record:
        with self._lock:
            self._records.append(Record(_meta(client)))
            return self._records[-1]

    # --- the end

    def finish(self) -> None:
        """The test has passed: write what was recorded, or say what was not asked for. Raises `CassetteError`."""
        if self._missed is not None:  # the code under test has caught it
            raise CassetteError(str(self._missed))
        if not self.recording:
            self._report_unused()
            return
        for record in self._records:
            record.close()
        lines = [self._scrubber.clean_line(record.line) for record in self._records if record.line is not None]
        if lines or self._there:
            save_lines(self.path, lines)

    def _report_unused(self) -> None:
        left = self._shelf.left()
        if not left:
            return
        told = "\n  ".join([f"recorded in {display_path(self.path)} and not asked for:", *left])
        if self._strict:
            raise CassetteError(told)
        warnings.warn(told, CassetteWarning, stacklevel=2)


@contextmanager
def cassette(
    path: str | os.PathLike[str],
    mode: Mode | None = None,
    *,
    ignore: Sequence[str] | str = (),
    strict: bool = False,
    scrub: Hook | None = None,
) -> Iterator[Cassette]:
    """Record the calls of the SDK's clients made inside, or answer them from what was recorded.

    mode: "once" records where there is no file yet, and replays where there is one; "none" only replays; "all" always
    records. None is what --llm-record says, else "once", or "none" where the environment says CI. ignore: fields of the
    calls that may differ, "metadata.run_id". strict: a recorded call that is not made is an error instead of a warning.
    scrub: your own change to every text before it is written or compared. Nothing is written when the block ends with
    an exception.
    Raises `CassetteError`, an AssertionError, for a call that was not recorded.
    """
    deck = Cassette(path, mode, ignore=ignore, strict=strict, scrub=scrub)
    with in_use(deck):
        yield deck
    deck.finish()


@contextmanager
def in_use(deck: Cassette) -> Iterator[None]:
    """Have the clients' calls recorded or answered."""
    if _active:
        raise RuntimeError(f"the cassette {_active[0].path} is in use: one at a time, for a call can go to one alone")
    _active.append(deck)
    try:
        with tap_clients(deck):
            yield
    finally:
        _active.remove(deck)


def _meta(client: Any) -> dict[str, Any]:
    connection = getattr(client, "_connection", None)
    openai = is_openai(str(client.base_url))
    provider = connection.provider.name if connection is not None else "openai" if openai else "v1"
    return {"provider": provider, "sdk": version("openai")}
