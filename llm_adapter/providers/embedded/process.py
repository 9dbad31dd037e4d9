"""A llama.cpp server in a process of its own, which ends with the process that started it.

The two speak over the new process's pipes, a line of JSON each way: what to load, then where it listens and the key.
What llama.cpp writes while it loads goes to a file, for its exceptions do not say why a model cannot be loaded.
What the new process does is in `child`.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from functools import partial
from typing import IO, Any, NamedTuple

from llm_adapter.provider import Address
from llm_adapter.providers.embedded.models import CUT, NO_GGUF
from llm_adapter.providers.embedded.server import Launch, LlamaCppError, RunningServer

PROGRAM = "import sys; sys.path[:] = sys.argv[1:]; from llm_adapter.providers.embedded.child import main; main()"
# OpenMP's threads spin while they wait for one another, several hundred times a token, and so hold up the one that they
# wait for when other programs want the processors: on two busy ones a model of 220 MB took 73 to 152 s of time and 19
# to 33 s of processor for what takes 7 to 11 s and 3 s when they sleep. What the user has set wins.
# Source: gcc libgomp/env.c, OMP_WAIT_POLICY and GOMP_SPINCOUNT (12.2).
_ENVIRONMENT = {"OMP_WAIT_POLICY": "passive"}
_GRACE = 5.0  # seconds that a server has to end by itself


class ServerProcess:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._owner = os.getpid()
        atexit.register(self.stop)  # also while it loads, when nobody else knows it

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_running(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> None:
        atexit.unregister(self.stop)
        if self._owner != os.getpid():  # a fork's copy: the process is its parent's
            return
        self._process.kill()
        self._process.wait(_GRACE)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def start_process(launch_with: Callable[[Callable[[], int]], Launch]) -> tuple[RunningServer, Address]:
    """A server in a new process.

    launch_with: what to start, once it is known what the process has: it is given a function that asks for the bytes
    that are free on graphics cards. Raises `LlamaCppError` when llama.cpp or the model cannot be loaded there.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603 - this interpreter, and our own module
            [sys.executable, "-c", PROGRAM, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**_ENVIRONMENT, **os.environ},
        )
        server = ServerProcess(process)
        try:
            launch = launch_with(partial(_free_on_cards, process))
            told = _answer(process, asdict(launch))
        except BaseException:
            server.stop()
            raise
        if "root" in told:
            return server, Address(told["root"], told["key"])
        with suppress(subprocess.TimeoutExpired):  # llama.cpp writes its log in a thread, and to the end when it ends
            process.wait(_GRACE)
        reason = load_failure(_text(log), process.poll())
        server.stop()
        raise LlamaCppError(told.get("error") or f"llama.cpp could not load {launch.model}: {reason}")


def _free_on_cards(process: subprocess.Popen[bytes]) -> int:
    """The bytes that are free on graphics cards. Raises `LlamaCppError` when llama.cpp is not there."""
    told = _answer(process, {})
    if "error" in told:
        raise LlamaCppError(told["error"])
    return int(told.get("free", 0))


def _answer(process: subprocess.Popen[bytes], order: dict[str, Any]) -> dict[str, Any]:
    """The other process's answer to an order; nothing where it ends without one."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        answer: dict[str, Any] = json.loads(process.stdout.readline())
    except (OSError, ValueError):
        return {}
    return answer


class _Cause(NamedTuple):
    pattern: re.Pattern[str]  # in llama.cpp's words
    cure: str


# Source: llama.cpp ggml/src/gguf.cpp gguf_init_from_reader, src/llama-model-loader.cpp, src/llama-model.cpp and
# ggml/src/ggml-backend.cpp, b11549; seen with xllamacpp 2026.10.11549.
_CAUSES = (
    _Cause(
        re.compile("invalid magic|failed to read magic"),
        NO_GGUF,
    ),
    _Cause(
        re.compile("not within the file bounds|failed to read|unexpectedly reached end"),
        CUT,
    ),
    _Cause(
        re.compile("only supports up to version|unknown model architecture|unknown .*type"),
        "The model is newer than this llama.cpp: a newer one comes with  pip install -U xllamacpp",
    ),
    _Cause(
        re.compile("bad_alloc|failed to allocate|out of memory|unable to allocate|cannot allocate", re.IGNORECASE),
        "There is too little memory: a smaller model or quantization, a lower `num_ctx`, or fewer `n_gpu_layers`",
    ),
)
_KILLED = "its process was killed: most likely there was too little memory, so a smaller model or a lower `num_ctx`"
_ERROR_LINE = re.compile(r"^\S+ E (?:\S+ +\S+: |\S+: )?(?:error loading model: )?(.+)$", re.MULTILINE)
_LAST_LINES = 2  # of the log, for what none of the causes explains
_SIGKILL = -9  # as subprocess says it


def load_failure(log: str, returncode: int | None) -> str:
    """Why a model could not be loaded, and what to do. log: what llama.cpp wrote while it tried."""
    said = _ERROR_LINE.findall(log)
    for line in said:
        for cause in _CAUSES:
            if cause.pattern.search(line):
                return f"{line}. {cause.cure}"
    if said:
        return "; ".join(dict.fromkeys([said[0], *said[-_LAST_LINES:]]))
    if returncode == _SIGKILL:
        return _KILLED
    last = log.strip().rpartition("\n")[2][:300]
    return f"its process ended with {returncode}" + (f": {last}" if last else "")


def _text(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read(1 << 20).decode("utf-8", "replace")
