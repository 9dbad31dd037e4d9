"""What `client.models.pull`, `push` and `create` return with `stream=True`: progress to iterate, sync or async.

Nothing is sent before the first item is asked for. Closing a transfer before its end cancels it: the connection is
closed, and the server stops. The same pull begun again goes on where it was, for the server keeps what it has.
"""

from __future__ import annotations

import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator, Mapping
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from llm_adapter.provider import Rejected
from llm_adapter.providers.ollama.progress import Progress, failure
from llm_adapter.providers.ollama.types import PullProgress
from llm_adapter.settings.errors import AdapterWarning

if TYPE_CHECKING:
    from typing_extensions import Self

Line: TypeAlias = Mapping[str, Any]
_HTTP = ("httpx", "httpx2", "httpcore", "httpcore2")


class _Transfer:
    """What the sync and the async class share."""

    _steps: Any
    _what = ""
    _begun = False

    def __repr__(self) -> str:
        return f"<progress of {self._what}>"

    def __del__(self) -> None:
        if not self._begun and self._what:
            self._begun = True
            warnings.warn(
                f"{self._what} was not begun: iterate over its progress, or `.wait()` for its end",
                AdapterWarning,
                stacklevel=2,
                source=self,
            )


class Transfer(_Transfer, Iterator[PullProgress]):
    """Progress of one transfer: iterate it, or `wait()`. As a context it is closed, and so cancelled, at the end."""

    def __init__(
        self, what: str, lines: Callable[[], Iterator[Line]], finish: Callable[[Rejected | None], Exception | None]
    ) -> None:
        """finish: called at the end, with what went wrong; gives what is to be raised."""
        self._what = what
        self._steps = _progress(lines, finish)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> PullProgress:
        self._begun = True
        return next(self._steps)  # type: ignore[no-any-return]

    def wait(self) -> PullProgress:
        """The last progress, when all is done."""
        last = PullProgress(status="success", phase="done", percent=100.0)
        for last in self:  # noqa: B007
            pass
        return last

    def close(self) -> None:
        """Cancel it, if it is not at its end."""
        self._begun = True
        self._steps.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class AsyncTransfer(_Transfer, AsyncIterator[PullProgress]):
    """The same in an event loop."""

    def __init__(
        self,
        what: str,
        lines: Callable[[], AsyncIterator[Line]],
        finish: Callable[[Rejected | None], Awaitable[Exception | None]],
    ) -> None:
        self._what = what
        self._steps = _async_progress(lines, finish)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> PullProgress:
        self._begun = True
        return await self._steps.__anext__()  # type: ignore[no-any-return]

    async def wait(self) -> PullProgress:
        """The last progress, when all is done."""
        last = PullProgress(status="success", phase="done", percent=100.0)
        async for last in self:  # noqa: B007
            pass
        return last

    async def aclose(self) -> None:
        """Cancel it, if it is not at its end."""
        self._begun = True
        await self._steps.aclose()

    close = aclose

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()


def _progress(
    lines: Callable[[], Iterator[Line]], finish: Callable[[Rejected | None], Exception | None]
) -> Generator[PullProgress, None, None]:
    progress, refusal, parts = Progress(), None, lines()
    try:
        for line in parts:
            yield progress.feed(line, monotonic())
        progress.finish()
    except Exception as error:
        refusal = _refusal(error)
    finally:
        parts.close()  # type: ignore[attr-defined] # a generator
    if (raised := finish(refusal)) is not None:
        raise raised


async def _async_progress(
    lines: Callable[[], AsyncIterator[Line]], finish: Callable[[Rejected | None], Awaitable[Exception | None]]
) -> AsyncGenerator[PullProgress, None]:
    progress, refusal, parts = Progress(), None, lines()
    try:
        async for line in parts:
            yield progress.feed(line, monotonic())
        progress.finish()
    except Exception as error:
        refusal = _refusal(error)
    finally:
        await parts.aclose()  # type: ignore[attr-defined]
    if (raised := await finish(refusal)) is not None:
        raise raised


def _refusal(error: Exception) -> Rejected:
    """The refusal that says what went wrong. Raises the error itself where it is not about the transfer."""
    if isinstance(error, Rejected):
        return error
    if type(error).__name__ == "ResponseError":  # the package raises it for an error line
        return failure(error.error)  # type: ignore[attr-defined]
    # A line that was cut is not JSON. An HTTP error is of either library.
    if isinstance(error, ValueError) or type(error).__module__.partition(".")[0] in _HTTP:
        refusal = Rejected(
            f"the connection ended before the work was complete ({error}); begun again, it goes on where it was",
            status=502,
            kind="api_error",
            code="interrupted",
        )
        refusal.__cause__ = error
        return refusal
    raise error
