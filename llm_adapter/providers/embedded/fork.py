"""What a forked child does about a native library whose threads stayed in the parent."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterable


def keep_for_ever(objects: Iterable[object]) -> None:
    """Have objects never destroyed: their destructors would wait for threads that this process does not have."""
    for one in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


def skip_native_exit_handlers() -> None:
    """End this process, when Python is done, without the exit handlers of native libraries.

    llama.cpp's join its log's thread, which is the parent's (common/log.cpp ~common_log, b11549): the child would wait
    for ever, or abort. glibc's `on_exit` calls what was registered last first, and hands it the exit status: here that
    is `_exit`. Python's own handlers have run by then. Elsewhere than on glibc there is no such call.
    """
    if sys.platform.startswith("linux"):
        libc = ctypes.CDLL(None)
        if hasattr(libc, "on_exit"):
            libc.on_exit(ctypes.cast(libc._exit, ctypes.c_void_p), None)
