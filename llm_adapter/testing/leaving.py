"""What is about to leave: the request that this thread is busy with, or a task that waits for what it does. No IO."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Iterator
from types import FrameType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from llm_adapter.settings.hosts import hostname

# What HTTP libraries call the request, or its address, that a frame of theirs is busy with: httpx's and requests'
# `request.url`, urllib's `req.full_url`, urllib3's and aiohttp's `url`.
_NAMES = ("request", "req", "url")
_WATCHING = frozenset({__name__, f"{__name__.rpartition('.')[0]}.network"})


class Asked(NamedTuple):
    """What was about to leave."""

    what: str  # "POST https://api.openai.com/v1/chat/completions", or host:port where no frame knows more
    host: str = ""
    library: str = ""  # that the request is of


def frames() -> Iterator[FrameType]:
    """Where this thread is, from the inside out. Of a coroutine: those that wait for it, too."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def asked(own: Iterable[FrameType], host: str, target: str) -> Asked:
    """The innermost request to this host; else a library's to another, which goes by way of this one: a proxy."""
    found = [(frame, one) for frame in own for one in _requests(frame)]
    for _, one in found:
        if one.host == host.lower():
            return one
    for frame, one in found:
        if "site-packages" in frame.f_code.co_filename:
            return one._replace(what=f"{one.what} by way of {target}")
    others = (one for frame in _waiting() for one in _requests(frame))
    return next((one for one in others if one.host == host.lower()), Asked(target))


def without_secrets(url: str) -> str:
    """A URL without a user's name, a query or a fragment: keys are in them."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _waiting() -> Iterator[FrameType]:
    """Where the tasks of this thread's event loop are: aiohttp looks a name up in one that does not know the URL."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop runs here
        return
    for task in tasks:
        coroutine: Any = task.get_coro()
        while (frame := getattr(coroutine, "cr_frame", None)) is not None:
            yield frame
            coroutine = getattr(coroutine, "cr_await", None)


def _requests(frame: FrameType) -> Iterator[Asked]:
    """What a frame is busy with, by the names of its variables."""
    if frame.f_globals.get("__name__") in _WATCHING:
        return
    for name in _NAMES:
        value = frame.f_locals.get(name)
        text = str(getattr(value, "full_url", None) or getattr(value, "url", None) or value or "")
        if text.startswith(("http://", "https://")):
            method = getattr(value, "method", None) or frame.f_locals.get("method")
            shown = f"{method} " if isinstance(method, str) and method else ""
            library = type(value).__module__.partition(".")[0]
            yield Asked(shown + without_secrets(text), hostname(text), library)
