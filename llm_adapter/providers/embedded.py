"""Provider `embedded`: llama.cpp in this process. Needs no server and no key; the extra `embedded` brings xllamacpp.

A server starts with the first request, on a loopback port and with a random key, is shared by all clients of the
process with the same settings, and stops at exit. Chat and embeddings are two servers behind one provider. On the
wire it is a /v1 server like any other: dialect "llamacpp".
"""

from __future__ import annotations

import atexit
import gc
import secrets
import socket
import threading
from collections.abc import Hashable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from llm_adapter import responses
from llm_adapter.provider import Address, Call, Endpoint, Flow, NativeRequest
from llm_adapter.providers.v1 import PATHS
from llm_adapter.settings.errors import SettingsError

if TYPE_CHECKING:
    from llm_adapter.settings.settings import Settings

MODELS = Path(__file__).parent.parent / "models"
CHAT_MODEL = MODELS / "tiny-chat.gguf"
EMBEDDING_MODEL = MODELS / "tiny-embed.gguf"


class Embedded:
    """See the module."""

    name = "embedded"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: dict[Hashable, tuple[Any, Address]] = {}

    def base_url(self, settings: Settings) -> str:
        # The port is known when the server is up; each request is pointed at it then.
        return "http://127.0.0.1/v1"

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        if path.startswith("/api/"):
            return None
        if responses.serves(path):
            return responses.endpoint(method, path, _in_dialect) or _as_it_comes
        if method == "GET" and path.startswith("/models"):
            return _retrieve_model if path.startswith("/models/") else _list_models
        return _in_dialect if method == "POST" and path in PATHS else _as_it_comes

    def start(self, settings: Settings, path: str) -> Address:
        """The address of the server for `path`. Raises `SettingsError` when the extra or the file is missing."""
        embeddings = path == "/embeddings"
        model = _gguf_file(settings, embeddings)
        key = (model, embeddings, settings.num_ctx, settings.n_gpu_layers)
        with self._lock:
            if key not in self._servers:
                if not self._servers:
                    atexit.register(self.stop)
                self._servers[key] = _start_server(model, embeddings, settings)
            return self._servers[key][1]

    def stop(self) -> None:
        """Stop the servers that were started. Idempotent; a later request starts anew."""
        with self._lock:
            for _, address in self._servers.values():
                _close_connections(urlsplit(address.root).port)
            self._servers.clear()


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


def _in_dialect(call: Call) -> Flow:
    from llm_adapter.providers.v1.dialects import DIALECTS
    from llm_adapter.providers.v1.endpoints import in_dialect
    from llm_adapter.translation.overflow import LARGER_NUM_CTX

    # Its server would fetch images from anywhere, and it runs in this process: they are fetched and checked here.
    dialect = replace(DIALECTS["llamacpp"], fetches_images=False, larger_context=LARGER_NUM_CTX)
    return (yield from in_dialect(call, dialect))


def _retrieve_model(call: Call) -> Flow:
    from llm_adapter.providers.v1.models import retrieve_model

    return (yield from retrieve_model(call, _embedders(call.settings)))


def _list_models(call: Call) -> Flow:
    from llm_adapter.providers.v1.models import list_models

    return (yield from list_models(call, _embedders(call.settings)))


def _embedders(settings: Settings) -> list[str]:
    """The model that embeds: it has a server of its own, which the list of the first does not know."""
    return [Path(settings.embedding_model_path or EMBEDDING_MODEL).stem]


def _as_it_comes(call: Call) -> Flow:
    yield NativeRequest(call.method, None, call.body or None, passthrough=True)
    raise AssertionError("a passthrough exchange is not resumed")


def _gguf_file(settings: Settings, embeddings: bool) -> Path:
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


def _start_server(model: Path, embeddings: bool, settings: Settings) -> tuple[Any, Address]:
    xllamacpp = _llamacpp()
    key = secrets.token_urlsafe(24)
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {model.stem}
    params.port = 0
    params.api_keys = [key]
    params.verbosity = -1
    params.ui = False
    params.n_parallel = 4
    params.kv_unified = True
    params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_AUTO
    if isinstance(settings.num_ctx, int):  # "auto": llama.cpp takes the model's own
        params.n_ctx = settings.num_ctx
    if settings.n_gpu_layers is not None:
        params.n_gpu_layers = settings.n_gpu_layers
    if model.parent == MODELS.resolve():
        # So small a model gains nothing from threads, and they spin while they wait: 12 s for 0.3 on a busy machine.
        params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    if embeddings:
        params.embedding = True
        params.warmup = False
    try:
        server = xllamacpp.Server(params)
    except Exception as error:
        raise SettingsError(f"llama.cpp could not load {model}: {error}") from None
    return server, Address(server.listening_address, key)
