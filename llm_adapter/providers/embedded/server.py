"""A llama.cpp server in this process: its parameters, its start and its end."""

from __future__ import annotations

import gc
import os
import secrets
import socket
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from llm_adapter.provider import Address

LONGEST_INPUT = (
    8192  # tokens of an input to embed, where the profile has no `num_ctx`: a larger piece takes much memory
)
_SHARED = ("Metal", "MTL")  # Apple's
SILENT, ERRORS = -1, 1  # how much llama.cpp writes to standard error (common/log.h LOG_LEVEL_ERROR, b11549)


class LlamaCppError(Exception):
    """llama.cpp or a model cannot be loaded: becomes a `SettingsError`, which a process of its own does not know."""


class ModelLoadError(LlamaCppError):
    """A model could not be loaded. What the exception says of it is not why: only llama.cpp's log has that."""


class RunningServer(Protocol):
    """A server that was started."""

    def is_running(self) -> bool:
        """Whether it still is: a process of its own may have been killed, or have aborted."""

    def stop(self) -> None:
        """End it, and what it is still answering."""


class ServerInThisProcess:
    """A server that runs in threads of this process. It ends with the last reference to it."""

    def __init__(self, native: Any) -> None:
        self._native = native

    def is_running(self) -> bool:
        return True

    def stop(self) -> None:
        native, self._native = self._native, None
        if native is not None:
            _close_connections(urlsplit(native.listening_address).port)


def _close_connections(port: int | None) -> None:
    """Break this process's connections to a server.

    Its destructor holds the GIL and waits for every reply under way: for a stream that nobody reads on, for ever
    (xllamacpp 2026.10 Server::~Server).
    """
    for one in _sockets():
        with suppress(OSError):  # not connected
            if one.getpeername()[:2] == ("127.0.0.1", port):
                one.shutdown(socket.SHUT_RDWR)


def _sockets() -> Iterator[socket.socket]:
    """This process's sockets, or copies: what is shut down by a copy is shut down.

    Where there is another way they are not looked for among the garbage collector's objects, which are all held
    meanwhile: Python cannot finish a tuple then that another thread is making of an iterator, which gets a SystemError
    (CPython 3.11 Objects/tupleobject.c _PyTuple_Resize). A copy would take the program's default timeout over to all.
    """
    if sys.platform == "win32" or socket.getdefaulttimeout() is not None:
        yield from (one for one in gc.get_objects() if issubclass(type(one), socket.socket))
        return
    for name in os.listdir("/dev/fd"):
        with suppress(OSError):  # it is closed by now
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                with socket.socket(fileno=os.dup(int(name))) as one:
                    yield one


def load_llamacpp() -> Any:
    """The library. Raises `LlamaCppError` when it is not there, or cannot be loaded."""
    try:
        import xllamacpp
    except ModuleNotFoundError:
        raise LlamaCppError(
            "provider 'embedded' needs llama.cpp: install the extra with  pip install 'llm_adapter[embedded]'"
        ) from None
    except ImportError as error:  # it is there, and one of the system's libraries is not: slim images have no OpenMP
        cure = ": install it with  apt-get install libgomp1" if "libgomp" in str(error) else ""
        raise LlamaCppError(
            f"provider 'embedded': llama.cpp is installed, but cannot be loaded: {error}{cure}"
        ) from None
    return xllamacpp


@dataclass(frozen=True)
class Launch:
    """What a server is started with."""

    model: str  # the model's file
    alias: str  # what its replies call it
    embeddings: bool = False
    num_ctx: int | None = None  # tokens; None: llama.cpp takes the model's own
    n_gpu_layers: int | None = None  # None: llama.cpp takes as many as fit
    chat_template: str | None = None  # a Jinja template, or "chatml"; None: the one in the model's file
    projector: str | None = None  # the file with which it sees images
    adapters: tuple[str, ...] = ()
    is_small: bool = False  # it gains nothing from threads, and they spin while they wait: 12 s for 0.3 when busy


def free_on_cards() -> int:
    """The bytes that are free on graphics cards. A card that shares the machine's memory is not counted."""
    devices = load_llamacpp().get_device_info()
    return sum(
        int(one["memory_free"])
        for one in devices
        if str(one["type"]).endswith("DEVICE_TYPE_GPU") and not one["name"].startswith(_SHARED)
    )


def start_server(launch: Launch, *, verbosity: int = SILENT) -> tuple[RunningServer, Address]:
    """A server in this process. Raises `LlamaCppError` when llama.cpp or the model cannot be loaded."""
    xllamacpp = load_llamacpp()
    key = secrets.token_urlsafe(24)
    try:
        server = xllamacpp.Server(_parameters(xllamacpp, launch, key, verbosity))
    except Exception as error:
        raise ModelLoadError(f"llama.cpp could not load {launch.model}: {error}") from None
    return ServerInThisProcess(server), Address(server.listening_address, key)


def _parameters(xllamacpp: Any, launch: Launch, key: str, verbosity: int) -> Any:
    """llama.cpp's own parameters."""
    params = xllamacpp.CommonParams()
    params.model.path = launch.model
    params.model_alias = {launch.alias}
    params.port = 0
    params.api_keys = [key]
    params.verbosity = verbosity
    params.ui = False
    params.n_parallel = 4
    params.kv_unified = True
    params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_AUTO
    if launch.num_ctx is not None:
        params.n_ctx = launch.num_ctx
    if launch.n_gpu_layers is not None:
        params.n_gpu_layers = launch.n_gpu_layers
    if launch.chat_template is not None:
        params.chat_template = launch.chat_template
    if launch.projector is not None:
        params.mmproj.path = launch.projector
    if launch.adapters:
        params.lora_adapters = [_adapter(xllamacpp, one) for one in launch.adapters]
    if launch.is_small:
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    if launch.embeddings:
        # An input is embedded in one piece, and a piece is 512 tokens where nothing is said. llama.cpp makes of both
        # numbers what the context holds (src/llama-context.cpp, b11549).
        params.n_batch = params.n_ubatch = launch.num_ctx or LONGEST_INPUT
        params.embedding = True
        params.warmup = False
    return params


def _adapter(xllamacpp: Any, file: str) -> Any:
    adapter = xllamacpp.CommonAdapterLoraInfo()
    adapter.path, adapter.scale = file, 1.0
    return adapter
