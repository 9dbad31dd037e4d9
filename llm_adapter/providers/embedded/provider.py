"""The provider: which servers run, who uses them, and when they stop.

A server starts with the first call of its model, on a loopback port and with a random key, is shared by all clients of
the process with the same settings, and stops when nobody uses it, when another model needs its memory, or at exit. Chat
and embeddings are two servers behind one provider. On the wire it is a /v1 server like any other: dialect "llamacpp".

The two small models of the package run in threads of this process, and every other model in a process of its own:
while llama.cpp loads a model it holds the GIL (xllamacpp 2026.10 Server), which would stop all threads and event loops
for as long as that takes, and when it aborts it ends its process. `embedded_process` decides otherwise.
"""

from __future__ import annotations

import atexit
import concurrent.futures
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from llm_adapter import responses
from llm_adapter.provider import Address, Call, Endpoint, Flow, NativeRequest, Rejected, ServerUse
from llm_adapter.providers.embedded import calls, models, room
from llm_adapter.providers.embedded.idle import ServerUses
from llm_adapter.providers.embedded.models import Model
from llm_adapter.providers.embedded.server import Launch, LlamaCppError, RunningServer, free_on_cards, start_server
from llm_adapter.providers.v1 import PATHS
from llm_adapter.settings.errors import SettingsError
from llm_adapter.translation.forks import begin_in_child

if TYPE_CHECKING:
    from llm_adapter.providers.embedded.room import Demand, Tenant
    from llm_adapter.settings.settings import Settings


LOOK = 1.0  # seconds between two looks at which servers are not used any more
_CHATS = ("/chat/completions", "/responses")

_Running: TypeAlias = "tuple[RunningServer, Address]"
_Load: TypeAlias = "concurrent.futures.Future[Address]"


class _Order(NamedTuple):
    """What a call asks for: a model by its name, and how its server is to run."""

    name: str
    embeddings: bool
    fields: tuple[Hashable, ...]

    @classmethod
    def of(cls, settings: Settings, path: str, model: str | None) -> _Order:
        """Raises `Rejected` for a name that the profile does not have."""
        embeddings = path == "/embeddings"
        pull = settings.pull if isinstance(settings.pull, str) else id(settings.pull)
        fields = (
            *(settings.num_ctx, settings.n_gpu_layers, settings.num_ctx_max, settings.chat_template),
            *(settings.mmproj_path, settings.embedded_process, settings.memory_limit, settings.local_only, pull),
        )
        name = models.configured(settings, model, embeddings=embeddings)
        return cls(name, embeddings, fields)

    def key(self, model: Model) -> Hashable:
        """What its server is known by: one server a file, and a way to run it."""
        files = (model.projector, model.adapters)
        return (model.file, self.embeddings, *self.fields[:4], files, self.fields[5])


class Embedded:
    """See the module."""

    name = "embedded"

    def __init__(self, *, in_child: bool = False) -> None:
        """in_child: whether this process is a fork of one that had the package."""
        self._in_process = True  # whether any model may run in threads of this process
        self._small_in_process = not in_child  # whether the small ones do where the settings say nothing
        self._has_run_here = False  # whether llama.cpp has run in threads of this process
        self._forget()
        begin_in_child(self._begin_anew_in_child)

    def _forget(self) -> None:
        self._lock = threading.Lock()
        # Models are loaded one at a time: each takes the memory that another leaves. The small ones wait for no other.
        self._turns = {True: threading.Lock(), False: threading.Lock()}  # by whether it is a small one
        self._servers: dict[Hashable, _Running] = {}
        self._demands: dict[Hashable, Demand] = {}  # of the models that have an eye kept on their memory
        self._models: dict[_Order, Model] = {}  # that were found
        # What loads, and whether a chat waits for it, which not all models can; the uses of servers that are not there.
        self._loading: dict[tuple[_Order, bool], _Load] = {}
        self._waiting: dict[tuple[_Order, bool], ServerUses] = {}
        self._uses: dict[Hashable, ServerUses] = {}
        self._watched = False  # whether a thread stops servers that are not used

    def base_url(self, settings: Settings) -> str:
        # The port is known when the server is up; each request is pointed at it then.
        return "http://127.0.0.1/v1"

    def endpoint(self, method: str, path: str) -> Endpoint | None:
        if path.startswith("/api/"):
            return None
        if responses.serves(path):
            return responses.endpoint(method, path, self._in_dialect, self._input_tokens) or _as_it_comes
        if method == "GET" and path.startswith("/models"):
            return calls.retrieve_model if path.startswith("/models/") else calls.list_models
        if method == "POST" and path in PATHS:
            return self._in_dialect
        return _endpoint_of_llamacpp(method, path)

    def _in_dialect(self, call: Call) -> Flow:
        return calls.in_dialect(call, self.model_of)

    def _input_tokens(self, call: Call) -> Flow:
        return calls.input_tokens(call, self.model_of)

    def model_of(self, call: Call) -> Model | None:
        """The model of a call, once it has been found."""
        model = call.body.get("model")
        order = _Order.of(call.settings, call.path, model if isinstance(model, str) else None)
        return self._models.get(order)

    def start(self, settings: Settings, path: str) -> Address:
        """The address of the server for `path`. Raises `SettingsError` when it cannot be started."""
        try:
            return self.begin(settings, path).result()
        except Rejected as refusal:
            raise SettingsError(str(refusal)) from None

    def begin(self, settings: Settings, path: str, use: ServerUse | None = None) -> _Load:
        """The same without waiting: a model is found, pulled and loaded in a thread of its own."""
        try:
            order = _Order.of(settings, path, use.model if use is not None else None)
            with self._lock:
                running = self._running(order)
                if running is None:
                    return self._begun(order, path.startswith(_CHATS), settings, use)
                model = self._models[order]
                if path.startswith(_CHATS):
                    models.check_chat(model, settings)
                self._uses[order.key(model)].add(use, settings.keep_alive, time.monotonic())
                return _known(running[1])
        except (Rejected, SettingsError) as error:
            return _failed(error)

    def _begun(self, order: _Order, chats: bool, settings: Settings, use: ServerUse | None) -> _Load:
        """The load of a model: one that is under way, or a new one. Needs the lock."""
        waited_for = order, chats
        self._waiting.setdefault(waited_for, ServerUses()).add(use, settings.keep_alive, time.monotonic())
        load = self._loading.get(waited_for)
        if load is None:
            load = self._loading[waited_for] = concurrent.futures.Future()
            threading.Thread(
                target=self._load, args=(order, chats, load, settings), daemon=True, name="llm_adapter load"
            ).start()
        return load

    def _running(self, order: _Order) -> _Running | None:
        """The server of an order, if there is one; one that has ended by itself is forgotten. Needs the lock."""
        model = self._models.get(order)
        key = None if model is None else order.key(model)
        running = self._servers.get(key)
        if running is None or running[0].is_running():
            return running
        del self._servers[key]
        running[0].stop()
        return None

    def _load(self, order: _Order, chats: bool, load: _Load, settings: Settings) -> None:
        """Find and load a model, whether or not the calls that wait for it wait to the end."""
        try:
            model = self._found(order, settings)
            if chats:
                models.check_chat(model, settings)
            address = self._loaded(order, chats, model, settings)
        except BaseException as error:
            with self._lock:
                self._loading.pop((order, chats), None)
                self._waiting.pop((order, chats), None)
            load.set_exception(error)
            return
        load.set_result(address)

    def _found(self, order: _Order, settings: Settings) -> Model:
        field = "embedding_model_path" if order.embeddings else "model_path"
        about = f"`{field}` from {settings.origin(field)}" if order.name == getattr(settings, field) else "`models`"
        return models.resolve(order.name, settings, about)

    def _loaded(self, order: _Order, chats: bool, model: Model, settings: Settings) -> Address:
        """The address of a model's server: the one that runs, or a new one."""
        key = order.key(model)
        with self._turns[model.is_from_package]:
            with self._lock:
                self._models[order] = model
                running = self._running(order)
            if running is None:
                running = self._started(model, order, settings)
            with self._lock:
                self._keep((order, chats), key, running)
        return running[1]

    def _keep(self, waited_for: tuple[_Order, bool], key: Hashable, running: _Running) -> None:
        """Note a server, and hand the calls that waited for it on to it. Needs the lock."""
        atexit.unregister(self.stop)
        atexit.register(self.stop)
        self._servers[key] = running
        self._loading.pop(waited_for, None)
        waiting = self._waiting.pop(waited_for, None)
        self._uses.setdefault(key, ServerUses()).join(waiting)
        if not self._watched:
            self._watched = True
            threading.Thread(target=self._watch, daemon=True, name="llm_adapter idle servers").start()

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
            servers = self._taken([key for key in self._servers if self._uses[key].are_over(now)])
            self._watched = left = bool(self._servers)
        for server in servers:
            server.stop()
        return left

    def _taken(self, keys: Iterable[Hashable]) -> list[RunningServer]:
        """Forget servers, which the caller stops. Needs the lock."""
        taken = []
        for key in keys:
            taken.append(self._servers.pop(key)[0])
            self._uses.pop(key, None)
            self._demands.pop(key, None)
        return taken

    def tenants(self) -> list[Tenant]:
        """The servers that take memory worth speaking of."""
        now = time.monotonic()
        with self._lock:
            return [
                room.Tenant(
                    key, demand.file, demand.total, demand.need.weights, getattr(self._servers[key][0], "pid", None),
                    self._uses[key].last, self._uses[key].are_under_way(now),
                )
                for key, demand in self._demands.items()
                if key in self._servers
            ]  # fmt: skip

    def stop_idle(self, tenants: Iterable[Tenant]) -> None:
        """Stop servers to make room, but for those that a call has begun to use."""
        now = time.monotonic()
        with self._lock:
            keys = [one.key for one in tenants if one.key in self._servers]
            servers = self._taken([key for key in keys if not self._uses[key].are_under_way(now)])
        for server in servers:
            server.stop()

    def _started(self, model: Model, order: _Order, settings: Settings) -> _Running:
        """Raises `SettingsError` when it cannot be started."""
        launch = partial(self._launch, model, order, settings)
        chosen = settings.embedded_process
        in_process = (self._small_in_process and model.is_from_package) if chosen is None else not chosen
        try:
            if self._in_process and in_process:
                self._has_run_here = True
                return start_server(launch(free_on_cards))
            from llm_adapter.providers.embedded.process import start_process

            return start_process(launch)
        except LlamaCppError as error:
            raise SettingsError(str(error)) from None

    def _launch(self, model: Model, order: _Order, settings: Settings, cards: Callable[[], int]) -> Launch:
        """What a model's server is started with, once there is memory. cards: asks for that of graphics cards."""
        num_ctx = settings.num_ctx if isinstance(settings.num_ctx, int) else None
        if not model.is_from_package:
            demand = self._demands[order.key(model)] = room.make_room(model, settings, self, cards)
            num_ctx = demand.tokens
        return Launch(
            str(model.file),
            model.alias,
            order.embeddings,
            num_ctx,
            settings.n_gpu_layers,
            models.chat_template(settings),
            str(model.projector) if model.projector else None,
            tuple(map(str, model.adapters)),
            model.is_from_package,
        )

    def stop(self) -> None:
        """Stop the servers that were started. Idempotent; a later request starts anew."""
        with self._lock:
            for server, _ in self._servers.values():
                server.stop()
            self._servers.clear()
            self._demands.clear()

    def _begin_anew_in_child(self) -> None:
        """A forked child has the parent's servers in its memory, and none of the threads that run them.

        They stay the parent's: the child forgets them. Whatever llama.cpp keeps in memory is as the parent's threads
        left it in the middle of their work (OpenMP's pool among it), so the child's own servers are new processes. They
        are so by default where nothing is loaded yet: one of several workers must not end with llama.cpp.
        """
        self._small_in_process = False
        servers = [server for server, _ in self._servers.values()]
        self._forget()
        if self._has_run_here or "xllamacpp" in sys.modules:
            from llm_adapter.providers.embedded.fork import keep_for_ever, skip_native_exit_handlers

            self._in_process = False
            keep_for_ever(servers)
            skip_native_exit_handlers()


def _endpoint_of_llamacpp(method: str, path: str) -> Endpoint:
    """What its server has beside what is translated; what it has not is refused, and starts no server."""
    from llm_adapter.translation.unavailable import passed_on_where_there, unavailable

    if (method, path) == ("POST", "/audio/transcriptions"):
        return passed_on_where_there
    return unavailable(method, path) or _as_it_comes


def _known(address: Address) -> _Load:
    found: _Load = concurrent.futures.Future()
    found.set_result(address)
    return found


def _failed(error: Exception) -> _Load:
    failed: _Load = concurrent.futures.Future()
    failed.set_exception(error)
    return failed


def _as_it_comes(call: Call) -> Flow:
    yield NativeRequest(call.method, None, call.body or None, passthrough=True)
    raise AssertionError("a passthrough exchange is not resumed")
