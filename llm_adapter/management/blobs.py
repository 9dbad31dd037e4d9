"""Files for `client.models.create`: the server is asked for each by its digest, and given those that it lacks.

The package's own `create_blob` never asks, and reads a file twice (ollama _client.py, 0.6.3).
Source: ollama/server/routes.go HeadBlobHandler, CreateBlobHandler, v0.24.0.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import anyio.to_thread

from llm_adapter.provider import Json

PIECE = 1 << 20  # bytes

# One path, several, or names for the server to paths; "sha256:..." stands for a file that the server has.
Files: TypeAlias = "str | os.PathLike[str] | Iterable[str | os.PathLike[str]] | Mapping[str, str | os.PathLike[str]]"


@dataclass(frozen=True)
class CheckBlob:
    """Ask whether the server has a file; the answer is True or False."""

    digest: str


@dataclass(frozen=True)
class SendBlob:
    """Send a file to the server."""

    digest: str
    path: Path


# What the driver does: work outside the event loop, a request, or a line of progress to hand on.
Step: TypeAlias = "partial[str] | CheckBlob | SendBlob | Json"


def upload_steps(files: Files) -> Generator[Step, Any, dict[str, str]]:
    """What has to be done until the server has all files; returns their digests by name.

    Raises FileNotFoundError before anything is sent.
    """
    paths = _paths_by_name(files)
    for path in paths.values():
        if not _is_digest(path) and not Path(path).is_file():
            raise FileNotFoundError(f"no file at {os.fspath(path)!r} for `create`")
    digests = {}
    for name, path in paths.items():
        if _is_digest(path):
            digests[name] = str(path)
            continue
        yield {"status": f"reading {name}"}
        digest = digests[name] = yield partial(_digest, Path(path))
        size = Path(path).stat().st_size
        progress = {"status": f"uploading {name}", "digest": digest, "total": size}
        if not (yield CheckBlob(digest)):
            yield {**progress, "completed": 0}
            yield SendBlob(digest, Path(path))
        yield {**progress, "completed": size}
    return digests


def file_pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


async def async_file_pieces(path: Path) -> AsyncIterator[bytes]:
    """The same, read outside the event loop."""
    async with await anyio.open_file(path, "rb") as file:
        while piece := await file.read(PIECE):
            yield piece


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    for piece in file_pieces(path):
        digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def _paths_by_name(files: Files) -> dict[str, str | os.PathLike[str]]:
    if isinstance(files, Mapping):
        return dict(files)
    several = [files] if isinstance(files, (str, os.PathLike)) else list(files)
    return {Path(path).name: path for path in several}


def _is_digest(path: Any) -> bool:
    return isinstance(path, str) and path.startswith("sha256:")
