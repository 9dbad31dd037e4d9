"""A llama.cpp server in a process of its own, which ends with the process that started it.

The two speak over the new process's pipes, a line of JSON each way: what to load, then where it listens and the key.
The new process ends when its input ends, or when its parent is another one than at its start.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

from llm_adapter.provider import Address
from llm_adapter.providers.embedded.server import RunningServer, start_server
from llm_adapter.settings.errors import SettingsError
from llm_adapter.settings.settings import Settings

_READ_BY_SERVERS = frozenset({"num_ctx", "n_gpu_layers"})
_PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from llm_adapter.providers.embedded.process import main; main()"
_LOOK = 1.0  # seconds between two looks at who the parent is
_GRACE = 5.0  # seconds that a server has to end by itself


class ServerProcess:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._owner = os.getpid()

    def stop(self) -> None:
        if self._owner != os.getpid():  # a fork's copy: the process is its parent's
            return
        self._process.kill()
        self._process.wait(_GRACE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def start_process(model: Path, embeddings: bool, settings: Settings) -> tuple[RunningServer, Address]:
    """A server in a new process. Raises `SettingsError` when llama.cpp or the model cannot be loaded there."""
    process = subprocess.Popen(  # noqa: S603 - this interpreter, and our own module
        [sys.executable, "-c", _PROGRAM, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    server = ServerProcess(process)
    try:
        told = _exchanged(process, {"model": str(model), "embeddings": embeddings, "settings": _read_fields(settings)})
    except (OSError, ValueError):
        server.stop()
        raise SettingsError(f"llama.cpp could not load {model}: its process ended with {process.returncode}") from None
    if "error" in told:
        server.stop()
        raise SettingsError(told["error"])
    return server, Address(told["root"], told["key"])


def _read_fields(settings: Settings) -> dict[str, Any]:
    """The settings that a server reads."""
    return settings.model_dump(include=set(_READ_BY_SERVERS), exclude_none=True)


def _exchanged(process: subprocess.Popen[bytes], order: dict[str, Any]) -> dict[str, Any]:
    """The other process's answer to an order. Raises OSError or ValueError when it ends without one."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(order).encode() + b"\n")
    process.stdin.flush()
    answer: dict[str, Any] = json.loads(process.stdout.readline())
    return answer


def main() -> None:
    """The program of the new process."""
    parent = os.getppid()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what the library prints is no answer
    order = json.loads(sys.stdin.readline())
    try:
        settings = Settings(provider="embedded", **order["settings"])
        _, address = start_server(Path(order["model"]), order["embeddings"], settings)
    except SettingsError as error:
        print(json.dumps({"error": str(error)}), file=answers, flush=True)
        return
    print(json.dumps({"root": address.root, "key": address.api_key}), file=answers, flush=True)
    _wait_for_end(parent)
    os._exit(0)  # the server's destructor would wait for the replies under way


def _wait_for_end(parent: int) -> None:
    """Return when the parent is gone. Its pipe alone does not tell: a fork of the parent may hold it open."""
    if sys.platform == "win32":
        sys.stdin.read()
        return
    while os.getppid() == parent:
        if select.select([0], [], [], _LOOK)[0] and not os.read(0, 1):
            return
