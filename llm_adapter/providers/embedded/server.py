"""A llama.cpp server in this process: its model file, its parameters, its start and its end."""

from __future__ import annotations

import gc
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from llm_adapter.provider import Address
from llm_adapter.settings.errors import SettingsError

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

MODELS = Path(__file__).parents[2] / "models"
CHAT_MODEL = MODELS / "tiny-chat.gguf"
EMBEDDING_MODEL = MODELS / "tiny-embed.gguf"
LONGEST_INPUT = (
    8192  # tokens of an input to embed, where the profile has no `num_ctx`: a larger piece takes much memory
)
SILENT, ERRORS = -1, 1  # how much llama.cpp writes to standard error (common/log.h LOG_LEVEL_ERROR, b11549)


class ModelLoadError(SettingsError):
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
    for one in gc.get_objects():
        if issubclass(type(one), socket.socket):
            try:
                if one.getpeername()[:2] == ("127.0.0.1", port):
                    one.shutdown(socket.SHUT_RDWR)
            except OSError:  # not connected
                continue


def gguf_file(settings: Settings, embeddings: bool) -> Path:
    field = "embedding_model_path" if embeddings else "model_path"
    given: str | None = getattr(settings, field)
    path = Path(given).expanduser() if given else EMBEDDING_MODEL if embeddings else CHAT_MODEL
    if not path.is_file():
        raise SettingsError(f"no GGUF file at {path} (`{field}` from {settings.origin(field)}): give an existing file")
    return path.resolve()


def _llamacpp() -> Any:
    try:
        import xllamacpp
    except ModuleNotFoundError:
        raise SettingsError(
            "provider 'embedded' needs llama.cpp: install the extra with  pip install 'llm_adapter[embedded]'"
        ) from None
    except ImportError as error:  # it is there, and one of the system's libraries is not: slim images have no OpenMP
        cure = ": install it with  apt-get install libgomp1" if "libgomp" in str(error) else ""
        raise SettingsError(
            f"provider 'embedded': llama.cpp is installed, but cannot be loaded: {error}{cure}"
        ) from None
    return xllamacpp


def is_from_package(model: Path) -> bool:
    """Whether it is one of the two small models that come with the package."""
    return model.parent == MODELS.resolve()


def start_server(
    model: Path, embeddings: bool, settings: Settings, *, verbosity: int = SILENT
) -> tuple[RunningServer, Address]:
    """A server in this process. Raises `SettingsError` when llama.cpp or the model cannot be loaded."""
    xllamacpp = _llamacpp()
    key = secrets.token_urlsafe(24)
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {model.stem}
    params.port = 0
    params.api_keys = [key]
    params.verbosity = verbosity
    params.ui = False
    params.n_parallel = 4
    params.kv_unified = True
    params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_AUTO
    if isinstance(settings.num_ctx, int):  # "auto": llama.cpp takes the model's own
        params.n_ctx = settings.num_ctx
    if settings.n_gpu_layers is not None:
        params.n_gpu_layers = settings.n_gpu_layers
    if is_from_package(model):
        # So small a model gains nothing from threads, and they spin while they wait: 12 s for 0.3 on a busy machine.
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    if embeddings:
        # An input is embedded in one piece, and a piece is 512 tokens where nothing is said. llama.cpp makes of both
        # numbers what the context holds (src/llama-context.cpp, b11549).
        params.n_batch = params.n_ubatch = settings.num_ctx if isinstance(settings.num_ctx, int) else LONGEST_INPUT
        params.embedding = True
        params.warmup = False
    try:
        server = xllamacpp.Server(params)
    except Exception as error:
        raise ModelLoadError(f"llama.cpp could not load {model}: {error}") from None
    return ServerInThisProcess(server), Address(server.listening_address, key)
