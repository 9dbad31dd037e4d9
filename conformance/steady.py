"""Steady, the mock server that the SDK's own api_resources tests are written for, on a free port of this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PACKAGE = "@stdy/cli@0.22.1"
# How the SDK writes arrays and objects into queries and forms (openai-python scripts/mock, v3.3.1).
_STYLE = [f"--validator-{place}-{kind}-format=brackets" for place in ("query", "form") for kind in ("array", "object")]


class UnavailableError(Exception):
    """The mock server cannot be had here: no npm, or no specification."""


@contextmanager
def mock_server(folder: Path, spec: Path) -> Iterator[str]:
    """The base URL of a running mock server. Raises `UnavailableError`."""
    if not spec.is_file():
        raise UnavailableError("no OpenAPI specification: run once with --clone PATH")
    url = f"http://127.0.0.1:{_free_port()}"
    command = [_installed(folder), "--host", "127.0.0.1", "-p", url.rpartition(":")[2], *_STYLE, str(spec)]
    with (folder / "steady.log").open("wb") as log:
        # A group of its own: the npm command is a launcher that starts the server as its child.
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)  # noqa: S603
        try:
            _wait(f"{url}/_x-steady/health", server)
            yield url
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            server.wait(10)


def _installed(folder: Path) -> str:
    npm = shutil.which("npm")
    if npm is None:
        raise UnavailableError("no npm, which brings the mock server")
    command = folder / "node_modules" / ".bin" / "steady"
    if not command.exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--silent", "--no-audit", "--no-fund", "--prefix", str(folder)]
        subprocess.run([npm, "install", *options, PACKAGE], check=True)  # noqa: S603
    return str(command)


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        if server.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310
                return
        except OSError:
            time.sleep(0.1)
    raise UnavailableError("the mock server did not start: see steady.log")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
