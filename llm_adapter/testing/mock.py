"""`llm_mock`: what models say, in this process and whichever HTTP library the SDK is on.

The core is the fake server's: the same turns, personas and log. Calls of a model are answered at every host; what else
is sent is left to the test's other mocks and to this machine's servers, and beyond this machine it fails the test.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from importlib import import_module
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import anyio
import pytest

from llm_adapter.providers.v1.dialects import guessed
from llm_adapter.settings.hosts import OLLAMA_PORT, hostname, is_loopback, is_ollama_cloud
from llm_adapter.testing import personas, turns
from llm_adapter.testing.personas.persona import Persona
from llm_adapter.testing.personas.wire import Answer
from llm_adapter.testing.scripted import Scripted
from llm_adapter.testing.turns import Turn
from llm_adapter.traffic.current import HEADER, attempt_of
from llm_adapter.traffic.watch import Watcher, add_watcher, remove_watcher
from llm_adapter.translation.process_cache import clear_caches
from llm_adapter.transport.body import MadeBody, stream_class

# OpenAI's API below whatever stands before it: a gateway's path, Azure's deployments, a base URL without /v1. A list of
# models is only one below /v1: other services have models, too.
_V1 = re.compile(r"(/chat/completions|/completions|/embeddings|/responses(?:/.*)?|(?<=/v1)/models(?:/.*)?)$")
# The SDK asks for models alone at .../models, whatever the base URL.
_MODELS = re.compile(r"(/models(?:/.*)?)$")
_NATIVE = re.compile(r"/api/(?:chat|generate|embed|tags|show|ps|version|pull|create|copy|delete)$")
_OLLAMA = "ollama@0.32"
# The server that stands at an address, by what is guessed of it; elsewhere it is like the embedded one, or like vLLM.
_SERVERS = {"openai": "openai", "ollama": _OLLAMA, "llamacpp": "llamacpp", "vllm": "vllm", "lmstudio": "lmstudio"}
# A client that tries again does so at once.
_AT_ONCE = {"retry-after-ms": "1"}
HTTP_LIBRARIES = ("httpx", "httpx2")
# What the two libraries say of a connection that ends too early (httpcore _async/http11.py and h11, 1.0.9).
_NO_RESPONSE = "Server disconnected without sending a response."
_INCOMPLETE = "peer closed connection without sending complete message body (incomplete chunked read)"
_TIMEOUT = "timed out"

# A request of either library and its content -> what to answer; None lets it pass.
_Reply = Callable[[Any, bytes], "Answer | None"]
_Pause = Callable[[float], Iterator[float]]


class Mock(Scripted):
    """A script that answers the calls of a model in this process. As a context it is in force.

    Each host is played by the server that stands there: OpenAI at its own, Ollama at its port. With a persona it is
    this one everywhere. The log and its assertions are `Log`'s, the script is `Scripted`'s.
    """

    def __init__(self, persona: str | Persona | None = None, **options: Any) -> None:
        super().__init__(persona or "openai", **options)
        self._everywhere = persona is not None
        self._playing: dict[str, tuple[dict[str, Any], Persona]] = {}  # by host, with what it was made of
        self._answering = Lock()
        self._failed: int | None = None  # calls that there were when a lasting error was scripted
        self._patches = pytest.MonkeyPatch()
        self._watcher = Watcher()  # that requests know which calls they are for

    def __enter__(self) -> Mock:
        clear_caches()  # what is known of a server by its address is of the mocked one here, and only here
        _answer_requests(self._reply, self._patches)
        add_watcher(self._watcher)
        return self

    def __exit__(self, *exception: object) -> None:
        remove_watcher(self._watcher)
        self._patches.undo()
        clear_caches()

    # --- the script, in the words of the SDK's resources ---

    def chat(self, content: str, **options: Any) -> None:
        """The next chat, response or text completion gets this text, word by word where it asks for a stream."""
        self.script(turns.text(content, **options))

    def stream(self, *pieces: str, **options: Any) -> None:
        """The same in just these pieces."""
        self.script(turns.text(pieces, **options))

    def tool_call(self, name: str, arguments: Mapping[str, Any] | str | None = None, **options: Any) -> None:
        """The next chat or response is answered with the call of a tool."""
        self.script(turns.tool_call(name, arguments, **options))

    def embeddings(self, vectors: Iterable[float] | Iterable[Iterable[float]] | None = None) -> None:
        """The next call for embeddings gets these; without any, they are made from its input."""
        self.script(turns.embedding(vectors))

    def error(
        self, status: int, message: str | None = None, *, headers: Mapping[str, str] | None = None, **options: Any
    ) -> None:
        """The next call fails, and each one after it until more is scripted: clients try again, which they do at once.

        mid_stream: the stream fails after its first piece. See `error` of `llm_adapter.testing`.
        """
        said = message or HTTPStatus(status).phrase
        self.script(turns.error(status, said, headers=headers or _AT_ONCE, **options), repeat=True)
        self._failed = len(self._spoken)

    def script(self, *turns: Turn | str, repeat: bool = False) -> None:
        """Puts turns at the end of the script. An error that was answered already is over then."""
        with self._answering:
            if self._failed is not None and self._repeat and len(self._spoken) > self._failed:
                del self._turns[:1]
            self._failed = None
        super().script(*turns, repeat=repeat)

    # --- the servers that it plays ---

    @property
    def persona(self) -> Persona:
        return self._persona

    @persona.setter
    def persona(self, persona: str | Persona) -> None:
        # `Scripted` sets its own persona again when it is given models: that leaves each host its own.
        self._everywhere = self._everywhere or isinstance(persona, str) or persona.name != self._persona.name
        self._persona = personas.persona(persona, **self._given)

    def _reply(self, request: Any, content: bytes) -> Answer | None:
        """The answer to a request of httpx or httpx2; None for one that is not for a model."""
        url = str(request.url)
        path = below(url, sdk="x-stainless-lang" in request.headers)
        if path is None:
            return None
        with self._answering:
            host = urlsplit(url).netloc
            if not self._everywhere:
                self._persona = self._at(host, url, path)
            attempt = attempt_of(request)
            call = [] if attempt is None else [(HEADER, attempt)]
            found = self.answer(request.method, path, [*request.headers.multi_items(), *call], content)
            self._playing[host] = dict(self._given), self._persona
            return found

    def _at(self, host: str, url: str, path: str) -> Persona:
        made_of, playing = self._playing.get(host, (None, None))
        if playing is not None and made_of == self._given:
            return playing
        return personas.persona(server(url, path), **self._given)


def below(url: str, *, sdk: bool = False) -> str | None:
    """The path of a model's API, as the fakes have it; None where the URL leads to something else.

    sdk: whether it is the openai SDK that asks.
    """
    path = urlsplit(url).path.rstrip("/")
    if (found := _V1.search(path) or (_MODELS.search(path) if sdk else None)) is not None:
        return f"/v1{found[1]}"
    native = _NATIVE.search(path)
    return native[0] if native is not None and _is_ollama(url) else None


def server(url: str, path: str) -> str:
    """The name of the persona that plays the server at a URL."""
    if not path.startswith("/v1") or urlsplit(url).port == OLLAMA_PORT:
        return _OLLAMA
    if hostname(url).endswith(".openai.azure.com"):
        return "openai"
    return _SERVERS.get(guessed(url) or "", "llamacpp" if is_loopback(url) else "vllm")


def _is_ollama(url: str) -> bool:
    """Whether /api/chat is a model's there: other services have an /api, too."""
    return is_loopback(url) or urlsplit(url).port == OLLAMA_PORT or is_ollama_cloud(url)


# --- answers in this process: httpx's and httpx2's own transports are asked here first, and nothing is sent.
# The seam is `handle_request` of the two transports, which is public. A client with a transport of its own - a
# MockTransport, a TestClient's - is none of ours, and what respx patches lies below: a test may use them beside this.


def _answer_requests(reply: _Reply, patches: pytest.MonkeyPatch) -> None:
    """Have every request of httpx and httpx2 answered by `reply`, until the patches are undone."""
    for name in HTTP_LIBRARIES:
        try:
            http = import_module(name)
        except ImportError:
            continue
        _patch(http, reply, patches)


def _patch(http: Any, reply: _Reply, patches: pytest.MonkeyPatch) -> None:
    send, asend = http.HTTPTransport.handle_request, http.AsyncHTTPTransport.handle_async_request

    def handle_request(transport: Any, request: Any) -> Any:
        answer = reply(request, request.read())
        if answer is None:
            return send(transport, request)
        pause = _pauses(http, request)
        for seconds in pause(answer.wait):
            time.sleep(seconds)
        return _response(http, answer, request, pause)

    async def handle_async_request(transport: Any, request: Any) -> Any:
        answer = reply(request, await request.aread())
        if answer is None:
            return await asend(transport, request)
        pause = _pauses(http, request)
        for seconds in pause(answer.wait):
            await anyio.sleep(seconds)
        return _response(http, answer, request, pause)

    patches.setattr(http.HTTPTransport, "handle_request", handle_request)
    patches.setattr(http.AsyncHTTPTransport, "handle_async_request", handle_async_request)


def _pauses(http: Any, request: Any) -> _Pause:
    """The pauses of a server, in seconds, as a client with a read timeout sees them: one that is too long raises."""
    limit = request.extensions.get("timeout", {}).get("read")

    def pause(seconds: float) -> Iterator[float]:
        if limit is not None and seconds > limit:
            yield limit
            raise http.ReadTimeout(_TIMEOUT, request=request)
        if seconds:
            yield seconds

    return pause


def _response(http: Any, answer: Answer, request: Any, pause: _Pause) -> Any:
    if not answer.status:  # cut before anything came
        raise http.RemoteProtocolError(_NO_RESPONSE, request=request)

    def pieces() -> Iterator[bytes | float]:
        for piece in answer.pieces:
            yield from pause(piece.wait)
            yield piece.data
        if answer.aborted:
            raise http.RemoteProtocolError(_INCOMPLETE, request=request)

    body = stream_class(MadeBody, http)(pieces())
    return http.Response(answer.status, headers=list(answer.headers), stream=body, request=request)
