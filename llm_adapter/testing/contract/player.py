"""One script for sync and async clients: what an async client gives is awaited in an event loop of its own thread."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any

import openai
from anyio.from_thread import BlockingPortal, start_blocking_portal

if TYPE_CHECKING:
    from typing_extensions import Self

    from llm_adapter.testing.contract.case import Script


class Player:
    """Plays scripts. As a context it closes, at its end, the async clients that it met: their connections are part of
    its event loop.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._clients: dict[int, openai.AsyncOpenAI] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        for client in self._clients.values():
            self._wait(client.close())
        self._stack.close()

    def __call__(self, script: Script, client: Any) -> None:
        """Play to the end. Raises what the script raises."""
        if isinstance(client, openai.AsyncOpenAI):
            self._clients[id(client)] = client
        resume: Callable[[Any], Any] = script.send
        value: Any = None
        while True:
            try:
                step = resume(value)
            except StopIteration:
                return
            try:
                resume, value = script.send, self._wait(step) if inspect.isawaitable(step) else step
            except Exception as error:
                resume, value = script.throw, error

    def _wait(self, step: Awaitable[Any]) -> Any:
        if self._portal is None:
            self._portal = self._stack.enter_context(start_blocking_portal())
        return self._portal.call(_awaited, step)


async def _awaited(step: Awaitable[Any]) -> Any:
    return await step


def every(stream: Any) -> Any:
    """All items of a stream, to be yielded by a script."""
    if not hasattr(stream, "__aiter__"):
        return list(stream)

    async def collected() -> list[Any]:
        return [item async for item in stream]

    return collected()


def first(stream: Any) -> Any:
    """The next item of a stream, to be yielded by a script."""
    return stream.__anext__() if hasattr(stream, "__anext__") else next(stream)


def entered(manager: Any) -> Any:
    return manager.__aenter__() if hasattr(manager, "__aenter__") else manager.__enter__()


def left(manager: Any) -> Any:
    none = (None, None, None)
    return manager.__aexit__(*none) if hasattr(manager, "__aexit__") else manager.__exit__(*none)


def within(manager: Any, use: Callable[[Any], Iterable[Any]]) -> Any:
    """What a script makes of what a context manager gives: `yield from within(...)`."""
    value = yield entered(manager)
    try:
        return (yield from use(value))
    finally:
        yield left(manager)
