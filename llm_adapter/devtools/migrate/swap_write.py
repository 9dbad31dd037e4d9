"""Changed files are written whole or not at all, with the rights they had; a link stays a link."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from llm_adapter.devtools.migrate.swap_files import Change


def write(change: Change) -> None:
    """Put the new text in the place of the old. Raises OSError, also if the file is another one by now."""
    path = change.path.resolve()
    if path.read_bytes() != change.before:
        raise OSError(0, "it has changed in the meantime", str(path))
    if not os.access(path, os.W_OK):  # a new file in its place would need the folder's leave only
        raise PermissionError(0, "it is read-only", str(path))
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with open(descriptor, "wb") as file:
            file.write(change.after)
        shutil.copymode(path, name)
        _keep_owner(path, name)
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise


def uncommitted(changes: Sequence[Change]) -> list[Path]:
    """The files among these with changes that git does not have yet; none where there is no git."""
    paths = [change.path.resolve() for change in changes]
    return [path for folder in sorted({path.parent for path in paths}) for path in _status(folder, paths)]


def _status(folder: Path, paths: Sequence[Path]) -> list[Path]:
    names = [path.name for path in paths if path.parent == folder]
    # A repository's own configuration may name a program as its file system monitor: it is not started.
    command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", "status", "--porcelain", "-z", "--", *names]
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=30)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return []
    told = [os.fsdecode(line)[3:] for line in done.stdout.split(b"\0") if line]
    return [folder / name for name in names if any(Path(one).name == name for one in told)]


def _keep_owner(path: Path, name: str) -> None:
    found = path.stat()
    if hasattr(os, "chown") and (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
        with suppress(OSError):
            os.chown(name, found.st_uid, found.st_gid)
