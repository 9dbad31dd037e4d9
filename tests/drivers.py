"""One script, run by a sync and by an async client: a generator that yields what an async client has one await."""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any, TypeAlias

import openai

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.testing.contract.player import entered, every, first, left

__all__ = [
    "CUT",
    "HOST",
    "HTTPX",
    "SLOW",
    "SYNC_AND_ASYNC",
    "Body",
    "Play",
    "Script",
    "entered",
    "every",
    "first",
    "left",
    "mode",
    "said",
]

# httpx2, or httpx with an SDK before 3.0
HTTPX: Any = sys.modules[openai.DefaultHttpxClient.__mro__[-2].__module__.partition(".")[0]]
# A stream that is cut: the SDK's error in newer ones, HTTP's own in those before.
CUT: Any = (openai.APIConnectionError, HTTPX.TransportError)
SLOW: Any = (openai.APITimeoutError, HTTPX.TimeoutException)  # the same of a stream that is too slow
HOST = "http://ollama.test:11434"
Script: TypeAlias = Callable[[Any], Generator[Any, Any, Any]]


class Play:
    """`play(script)`: the result of a script, run by a sync or by an async client of a mocked Ollama.

    mode: "sync" or "async". Options are the client's, in the place of the mocked Ollama.
    """

    def __init__(self, mode: str) -> None:
        self.mode = mode

    def __call__(self, script: Script, **options: Any) -> Any:
        options = {"settings": Settings(provider="ollama", host=HOST), "max_retries": 0, **options}
        if self.mode == "async":
            return asyncio.run(self._async(script, options))
        with OpenAI(**options) as client:
            played = script(client)
            value = None
            try:
                while True:
                    value = played.send(value)
            except StopIteration as stop:
                return stop.value

    async def _async(self, script: Script, options: dict[str, Any]) -> Any:
        async with AsyncOpenAI(**options) as client:
            return await driven(script(client))

    def http(self, handler: Callable[[Any], Any], family: Any = HTTPX, **options: Any) -> Any:
        """An HTTP client, sync or async as the play is, whose requests all go to the handler."""
        kind = family.Client if self.mode == "sync" else family.AsyncClient
        return kind(transport=family.MockTransport(handler), **options)


def said(error: Any) -> str:
    """The server's words in an error: an SDK before 3.0 has them inside the text of a dictionary."""
    return str(error.body["message"])


async def driven(played: Any) -> Any:
    """A script's result; what it yields is awaited where it can be, and an error is thrown into it."""
    resume: Callable[[Any], Any] = played.send
    value: Any = None
    while True:
        try:
            step = resume(value)
        except StopIteration as stop:
            return stop.value
        try:
            resume, value = played.send, await step if inspect.isawaitable(step) else step
        except Exception as error:
            resume, value = played.throw, error


SYNC_AND_ASYNC = (Play("sync"), Play("async"))


def mode(play: Play) -> str:
    return play.mode


class Body(HTTPX.SyncByteStream, HTTPX.AsyncByteStream):  # type: ignore[misc]
    """A native body that comes in pieces; an exception among them is raised. Knows whether it was closed."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = pieces
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True
