"""Provider `embedded`: llama.cpp in this process, or in one that belongs to it. Needs no server to be installed and no
key; the extra `embedded` brings xllamacpp.

A server starts with the first request, on a loopback port and with a random key, is shared by all clients of the
process with the same settings, and stops at exit. Chat and embeddings are two servers behind one provider. On the
wire it is a /v1 server like any other: dialect "llamacpp".

The two small models of the package run in threads of this process, and every other model in a process of its own:
while llama.cpp loads a model it holds the GIL (xllamacpp 2026.10 Server), which would stop all threads and event loops
for as long as that takes, and when it aborts it ends its process.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import os
import sys
import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from llm_adapter import responses
from llm_adapter.provider import Address, Call, Endpoint, Flow, NativeRequest, ServerUse
from llm_adapter.providers.embedded.idle import ServerUses
from llm_adapter.providers.embedded.server import (
    EMBEDDING_MODEL,
    RunningServer,
    gguf_file,
    is_from_package,
    start_server,
)
from llm_adapter.providers.v1 import PATHS

if TYPE_CHECKING:
    from llm_adapter.providers.v1.dialects import Dialect
    from llm_adapter.settings.settings import Settings


LOOK = 1.0  # seconds between two looks at which servers are not used any more

_Running: TypeAlias = "tuple[RunningServer, Address]"


class Embedded:
    """See the module."""

    name = "embedded"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._servers: dict[Hashable, tuple[RunningServer, Address]] = {}
        self._loading: dict[Hashable, concurrent.futures.Future[Address]] = {}
        self._uses: dict[Hashable, ServerUses] = {}
        self._watched = False  # whether a thread stops servers that are not used
        self._in_process = True  # the package's own models run in threads of this process; False: in processes, too
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._begin_anew_in_child)

    def base_url(self, settings: Settings) -> str:
        # The port is known when the server is up; each request is pointed at it then.
        return "http://127.0.0.1/v1"

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        if path.startswith("/api/"):
            return None
        if responses.serves(path):
            return responses.endpoint(method, path, _in_dialect, _input_tokens) or _as_it_comes
        if method == "GET" and path.startswith("/models"):
            return _retrieve_model if path.startswith("/models/") else _list_models
        if method == "POST" and path in PATHS:
            return _in_dialect
        return _endpoint_of_llamacpp(method, path)

    def start(self, settings: Settings, path: str) -> Address:
        """The address of the server for `path`. Raises `SettingsError` when the extra or the file is missing."""
        return self.begin(settings, path).result()

    def begin(self, settings: Settings, path: str, use: ServerUse | None = None) -> concurrent.futures.Future[Address]:
        """The same without waiting: a model loads in a thread of its own. Raises `SettingsError` for a missing file."""
        embeddings = path == "/embeddings"
        model = gguf_file(settings, embeddings)
        key = (model, embeddings, settings.num_ctx, settings.n_gpu_layers)
        with self._lock:
            self._uses.setdefault(key, ServerUses()).add(use, settings.keep_alive, time.monotonic())
            if key in self._servers:
                server, address = self._servers[key]
                if server.is_running():
                    return _known(address)
                del self._servers[key]
                server.stop()
            load = self._loading.get(key)
            if load is None:
                load = self._loading[key] = concurrent.futures.Future()
                start = partial(self._started, model, embeddings, settings)
                threading.Thread(
                    target=self._load, args=(key, load, start), daemon=True, name="llm_adapter load"
                ).start()
        return load

    def _load(self, key: Hashable, load: concurrent.futures.Future[Address], start: Callable[[], _Running]) -> None:
        """Load a model, whether or not the calls that wait for it wait to the end."""
        try:
            server, address = start()
        except BaseException as error:
            with self._lock:
                self._loading.pop(key, None)
                self._uses.pop(key, None)
            load.set_exception(error)
            return
        with self._lock:
            atexit.unregister(self.stop)
            atexit.register(self.stop)
            self._servers[key] = server, address
            self._loading.pop(key, None)
            if not self._watched:
                self._watched = True
                threading.Thread(target=self._watch, daemon=True, name="llm_adapter idle servers").start()
        load.set_result(address)

    def _watch(self) -> None:
        """Stop servers that are not used any more, as long as there are any."""
        left = True
        while left:
            time.sleep(LOOK)
            left = self.stop_unused()

    def stop_unused(self) -> bool:
        """Stop the servers that no call has used for its profile's `keep_alive`. Says whether any is left."""
        now = time.monotonic()
        with self._lock:
            unused = [key for key in self._servers if self._uses[key].are_over(now)]
            servers = [self._servers.pop(key)[0] for key in unused]
            for key in unused:
                del self._uses[key]
            self._watched = left = bool(self._servers)
        for server in servers:
            server.stop()
        return left

    def _started(self, model: Path, embeddings: bool, settings: Settings) -> _Running:
        if self._in_process and is_from_package(model):
            return start_server(model, embeddings, settings)
        from llm_adapter.providers.embedded.process import start_process

        return start_process(model, embeddings, settings)

    def stop(self) -> None:
        """Stop the servers that were started. Idempotent; a later request starts anew."""
        with self._lock:
            for server, _ in self._servers.values():
                server.stop()
            self._servers.clear()

    def _begin_anew_in_child(self) -> None:
        """A forked child has the parent's servers in its memory, and none of the threads that run them.

        They stay the parent's: the child forgets them. Whatever llama.cpp keeps in memory is as the parent's threads
        left it in the middle of their work (OpenMP's pool among it), so the child's own servers are new processes.
        """
        servers, self._servers, self._lock = self._servers, {}, threading.Lock()
        self._loading, self._uses, self._watched = {}, {}, False
        if "xllamacpp" in sys.modules:
            from llm_adapter.providers.embedded.fork import keep_for_ever, skip_native_exit_handlers

            self._in_process = False
            keep_for_ever([server for server, _ in servers.values()])
            skip_native_exit_handlers()


def _endpoint_of_llamacpp(method: str, path: str) -> Endpoint:
    """What its server has beside what is translated; what it has not is refused, and starts no server."""
    from llm_adapter.translation.unavailable import passed_on_where_there, unavailable

    if (method, path) == ("POST", "/audio/transcriptions"):
        return passed_on_where_there
    return unavailable(method, path) or _as_it_comes


def _known(address: Address) -> concurrent.futures.Future[Address]:
    found: concurrent.futures.Future[Address] = concurrent.futures.Future()
    found.set_result(address)
    return found


def _in_dialect(call: Call) -> Flow:
    from llm_adapter.providers.v1.endpoints import in_dialect

    return (yield from in_dialect(call, _dialect()))


def _input_tokens(call: Call) -> Flow:
    from llm_adapter.providers.v1.input_tokens import count

    return (yield from count(call, _dialect()))


def _dialect() -> Dialect:
    from llm_adapter.providers.v1.dialects import DIALECTS
    from llm_adapter.translation.overflow import LARGER_NUM_CTX

    # Its server would fetch images from anywhere, and it runs as this user: they are fetched and checked here.
    return replace(DIALECTS["llamacpp"], fetches_images=False, larger_context=LARGER_NUM_CTX)


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
