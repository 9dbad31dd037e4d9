"""A batch under way: some requests at once, results recorded as they come, outages waited for.

A result is what the server says of one request. That nobody answers, or that all are sent away, says nothing of it: the
request is made again, and the batch stops, with everything kept, when that lasts too long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import openai

from llm_adapter.batch.journal import Journal
from llm_adapter.batch.lines import Line, read_line, result
from llm_adapter.provider import Json, parsed_json
from llm_adapter.traffic.reading import tokens
from llm_adapter.transport.raw import raw

_OUTAGES = (408, 429, 502, 503, 504)  # statuses that say nothing of the request
_REFUSALS = (401, 403)  # nobody will be answered
_FAULT_IS_FINAL = 3  # times that a server fails at one request
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds
_WINDOW = 1000  # lines that are put in the order of their models: each other model may have to be loaded
_WINDOW_BYTES = 32 << 20


class StoppedError(Exception):
    """The batch cannot go on; what is recorded stays, and the same command goes on with the rest."""


@dataclass
class Progress:
    """How far a batch is; seconds are those of this run."""

    total: int
    done: int = 0  # in earlier runs too
    sent: int = 0  # requests that this run has results of
    failed: int = 0  # of those that are done
    prompt_tokens: int = 0
    completion_tokens: int = 0
    waiting: str = ""  # what is waited for, where it is an outage
    errors: dict[str, int] = field(default_factory=dict)  # messages, and how often

    def add(self, status: int, body: Any) -> None:
        self.done += 1
        self.sent += 1
        said: Json = body if isinstance(body, dict) else {}
        if status >= 400:
            self.failed += 1
            error = said.get("error")
            message = str(error.get("message") if isinstance(error, dict) else error or f"status {status}")
            self.errors[message] = self.errors.get(message, 0) + 1
        found = tokens(said.get("usage"))
        self.prompt_tokens += found.get("prompt_tokens", 0)
        self.completion_tokens += found.get("completion_tokens", 0)


class Batch:
    """The requests of one file, on one client.

    profile: what the results depend on beside the requests; results of another profile are not taken for its own.
    patience: seconds of an outage after which `run` raises `StoppedError`. tell: called after each change.
    """

    def __init__(
        self,
        client: openai.AsyncOpenAI,
        source: Path,
        journal: Journal,
        progress: Progress,
        *,
        profile: str,
        concurrency: int,
        patience: float,
        tell: Callable[[Progress], None] | None = None,
    ) -> None:
        self._source = source
        self._journal = journal
        self._profile = profile
        self._concurrency = concurrency
        self._tell = tell or _say_nothing
        self.progress = progress
        self._requests = Requests(client, patience, self._wait_for)

    def stop(self) -> None:
        """Begin no further request; `run` ends when those under way have their results."""
        self._requests.stop()

    def _wait_for(self, what: str) -> None:
        self.progress.waiting = what
        self._tell(self.progress)

    async def run(self) -> bool:
        """Whether all have results now; not where `stop` came first. Raises `StoppedError` or OSError."""
        lines = self.pending()
        workers = [asyncio.ensure_future(self._work(lines)) for _ in range(self._concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return not self._requests.is_stopping

    async def _work(self, lines: Iterator[tuple[Line, str]]) -> None:
        for line, name in lines:
            status, body, request_id = await self._requests.answer(line)
            if status is None:
                return
            self.record(line, name, status, body, request_id)

    def record(self, line: Line, name: str, status: int, body: Any, request_id: str | None) -> None:
        """Keep a result."""
        self._journal.add(result(line, name, status, body, request_id or f"req_{uuid4().hex}"))
        self.progress.add(status, body)
        self._tell(self.progress)

    def pending(self) -> Iterator[tuple[Line, str]]:
        """The requests that have no result yet, those of one model one after the other."""
        for window in _windows(numbered(self._source)):
            asked = [(line, line.result_id(self._profile)) for line in window]
            for line, name in sorted(asked, key=lambda pair: pair[0].model):
                if self._requests.is_stopping:
                    return
                if name not in self._journal:
                    yield line, name


class Requests:
    """Asks one request after the other until each has a result: outages are waited for, by all of them together.

    patience: seconds of an outage after which `StoppedError` is raised. tell: is told what is waited for, "" when it is
    over.
    """

    def __init__(self, client: openai.AsyncOpenAI, patience: float, tell: Callable[[str], None]) -> None:
        self._client = client
        self._outage = _Outage(patience)
        self._tell = tell
        self.is_stopping = False

    def stop(self) -> None:
        self.is_stopping = True
        self._outage.end_waiting()

    async def answer(self, line: Line) -> tuple[int | None, Any, str | None]:
        """Status, body and request id; no status: the batch is to stop. Raises `StoppedError`."""
        faults = 0
        while True:
            await self._outage.over()
            if self.is_stopping:
                return None, None, None
            try:
                answer = await self._asked(line)
            except openai.APIConnectionError as error:  # a timeout is one, too
                self._wait_for(f"{error} {error.__cause__ or ''}".strip())
                continue
            status, body, _ = answer
            faults += status == 500
            if status in _REFUSALS:
                raise StoppedError(f"the server lets nobody in: {_message(body)}")
            if status in _OUTAGES:
                self._wait_for(f"status {status}: {_message(body)}")
            elif status != 500 or faults == _FAULT_IS_FINAL:
                if self._outage.has_ended():
                    self._tell("")
                return answer

    async def _asked(self, line: Line) -> tuple[int, Any, str | None]:
        try:
            reply = await raw(self._client, "POST", line.path, body=line.body)
        except openai.APIStatusError as error:
            return error.status_code, _json(error.response.content), error.request_id
        except openai.APIConnectionError:
            raise
        except openai.OpenAIError as error:  # the settings: it would be the same for every request
            raise StoppedError(str(error)) from error
        try:
            return reply.status_code, _json(await reply.read()), reply.headers.get("x-request-id")
        except openai.OpenAIError:
            raise
        except Exception as broken:  # the HTTP library's own: the reply broke off
            raise openai.APIConnectionError(message=str(broken), request=reply.http_request) from broken
        finally:
            await reply.close()

    def _wait_for(self, what: str) -> None:
        self._tell(what)
        self._outage.begin(what)


class _Outage:
    """The time in which a server answers nobody. All requests wait together, each time twice as long."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._since: float | None = None
        self._until = 0.0
        self._wait = _FIRST_WAIT
        self._ended = asyncio.Event()

    def begin(self, what: str) -> None:
        """Raises `StoppedError` where it has lasted too long."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        if now - self._since > self._patience:
            raise StoppedError(f"nobody answers for {self._patience:g} seconds: {what}")
        if now >= self._until:  # the first of those that failed together
            self._until = now + self._wait
            self._wait = min(2 * self._wait, _LONGEST_WAIT)

    def has_ended(self) -> bool:
        """Whether there was one."""
        was = self._since is not None
        self._since, self._until, self._wait = None, 0.0, _FIRST_WAIT
        return was

    def end_waiting(self) -> None:
        self._ended.set()

    async def over(self) -> None:
        while (left := self._until - time.monotonic()) > 0 and not self._ended.is_set():
            with suppress(TimeoutError, asyncio.TimeoutError):  # two classes before Python 3.11
                await asyncio.wait_for(self._ended.wait(), left)


def _say_nothing(progress: Progress) -> None:
    pass


def numbered(source: Path) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that are not empty, and their numbers from 1."""
    with source.open("rb") as file:
        for number, data in enumerate(file, 1):
            if data.strip():
                yield number, data


def _windows(lines: Iterator[tuple[int, bytes]]) -> Iterator[list[Line]]:
    window, size = list[Line](), 0
    for number, data in lines:
        window.append(read_line(data, number))
        size += len(data)
        if len(window) == _WINDOW or size > _WINDOW_BYTES:
            yield window
            window, size = [], 0
    yield window


def _json(content: bytes) -> Any:
    try:
        return parsed_json(content)
    except ValueError:
        return content.decode("utf-8", "replace")


def _message(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    return str(error.get("message") if isinstance(error, dict) else error or body)
