"""How much memory there is for models: of this machine, or of the container that this process runs in.

Pages of files count as free, for the system takes them back; a model's weights that are read from its file are such
pages, and must be counted by whoever runs models.
Sources: Linux Documentation/filesystems/proc.rst and admin-guide/cgroup-v2.rst.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_FILES_OF_CGROUPS = (  # the limit, what is used, and what of it are pages of files: of version 2, and of version 1
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def available() -> int | None:
    """Bytes that are free; None where nobody knows."""
    known = [one for one in (_of_machine(), *_of_container()) if one is not None]
    return min(known) if known else None


def mapped(pid: int) -> int | None:
    """Bytes of files that a process has in memory; None where the system does not say."""
    found = _fields(Path(f"/proc/{pid}/status"), ":").get("RssFile")
    return None if found is None else found * 1024


def _of_machine() -> int | None:
    if sys.platform == "win32":
        return _of_windows()
    found = _fields(Path("/proc/meminfo"), ":").get("MemAvailable")
    return None if found is None else found * 1024


def _of_container() -> list[int]:
    """What is left of the limits of control groups. Their root in a container is the container's own group."""
    left = []
    for limit, used, stat in _FILES_OF_CGROUPS:
        with suppress(OSError, ValueError):  # there is no such file, or the limit is "max"
            rest = int((_CGROUPS / limit).read_text()) - int((_CGROUPS / used).read_text())
            fields = _fields(_CGROUPS / stat, " ")
            left.append(max(0, rest + fields.get("active_file", 0) + fields.get("inactive_file", 0)))
    return left


def _fields(path: Path, separator: str) -> dict[str, int]:
    """The numbers of a file of the system's with a name and a number on each line."""
    found = {}
    with suppress(OSError):
        for line in path.read_text(encoding="ascii", errors="replace").splitlines():
            name, _, value = line.partition(separator)
            words = value.split()
            if words and words[0].isdecimal():
                found[name] = int(words[0])
    return found


def _of_windows() -> int | None:  # pragma: no cover - of Windows alone
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (("length", ctypes.c_uint32), ("load", ctypes.c_uint32), ("bytes", ctypes.c_uint64 * 7))

    status = Status(length=ctypes.sizeof(Status))
    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009 - other systems' ctypes has none
    return int(status.bytes[1]) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None
