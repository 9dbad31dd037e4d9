"""The line of the user's program that makes a client, or a call."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from enum import IntEnum
from functools import lru_cache
from types import FrameType
from typing import NamedTuple

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_PACKAGES = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))
_SDK = "openai"


class Place(NamedTuple):
    """A file and a line."""

    file: str  # absolute, or what stands for a file: "<stdin>", or "<thread NAME>" where no line is known
    line: int  # 0 where none is known

    def __str__(self) -> str:
        return f"{shown_file(self.file)}:{self.line}" if self.line else self.file


class _Owner(IntEnum):
    """Whose a file is."""

    between = 0  # ours, or of Python's standard library
    library = 1
    user = 2


def user_place() -> Place:
    """The innermost line of the user's program; of an installed library where no line of the program led here."""
    nearest: FrameType | None = None
    for frame in _frames():
        if str(frame.f_globals.get("__name__")).partition(".")[0] == _SDK:  # it may be installed anywhere
            continue
        owner = _owner(frame.f_code.co_filename)
        if owner is _Owner.user:
            return _place(frame)
        if owner is _Owner.library and nearest is None:
            nearest = frame
    return _place(nearest) if nearest is not None else Place(f"<thread {threading.current_thread().name}>", 0)


def shown_file(path: str) -> str:
    """A file's path, relative to the working directory where it is below it."""
    try:
        folder = os.path.join(os.getcwd(), "")
    except OSError:  # the working directory is gone
        return path
    return path.removeprefix(folder)


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _place(frame: FrameType) -> Place:
    name = frame.f_code.co_filename
    return Place(name if name.startswith("<") else os.path.abspath(name), frame.f_lineno)


@lru_cache(maxsize=4096)
def _owner(name: str) -> _Owner:
    if name.startswith("<frozen "):
        return _Owner.between
    path = name if name.startswith("<") else os.path.abspath(name)
    if path.startswith(os.path.join(_OURS, "")):
        return _Owner.between
    standard_library, scripts = _folders()
    if path.startswith(scripts) or any(part in path for part in _PACKAGES):
        return _Owner.library
    return _Owner.between if path.startswith(standard_library) else _Owner.user


@lru_cache(maxsize=1)
def _folders() -> tuple[tuple[str, ...], str]:
    """Those of Python's standard library; and that of installed commands: pytest's own start is a file there."""
    import sysconfig  # the plugin of pytest is light

    paths = sysconfig.get_paths()
    standard_library = {os.path.join(paths[name], "") for name in ("stdlib", "platstdlib") if name in paths}
    return tuple(standard_library), os.path.join(paths["scripts"], "")
