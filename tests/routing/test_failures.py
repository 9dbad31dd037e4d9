"""What kept a request from its server is named as what it was, each cause with a cure of its own."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import openai
import pytest
from conftest import HI
from drivers import HTTPX, SYNC_AND_ASYNC, Play, every, mode

from llm_adapter import Settings

CALLS: dict[str, Any] = {
    "chat": lambda client: client.chat.completions.create(model="m", messages=HI),
    "stream": lambda client: client.chat.completions.create(model="m", messages=HI, stream=True),
    "embeddings": lambda client: client.embeddings.create(model="m", input="x"),
    "responses": lambda client: client.responses.create(model="m", input="x"),
    "models": lambda client: client.models.list(),
    "pull": lambda client: client.models.pull("m"),
}
SERVERS: dict[str, Callable[[str], dict[str, Any]]] = {
    "ollama": lambda root: {"settings": Settings(provider="ollama", host=root)},
    "vllm": lambda root: {"settings": Settings(provider="openai", base_url=f"{root}/v1", dialect="vllm")},
    "unknown": lambda root: {"settings": Settings(provider="openai", base_url=f"{root}/v1")},
    "the code's own": lambda root: {"settings": Settings(), "base_url": f"{root}/v1"},
}
# Every server, every call, sync and async: not each with each.
CASES = [
    ("ollama", "chat", "sync"),
    ("ollama", "chat", "async"),
    ("ollama", "stream", "async"),
    ("ollama", "pull", "sync"),
    ("ollama", "models", "async"),
    ("vllm", "embeddings", "sync"),
    ("unknown", "responses", "async"),
    ("the code's own", "chat", "sync"),
    ("the code's own", "stream", "async"),
]


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture(params=CASES, ids=" ".join)
def failure(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`failure(root)`: the error of a call to a server at that address."""
    server, call, kind = request.param

    def caught(root: str, expected: type[openai.APIError] = openai.APIConnectionError) -> Any:
        def script(client: Any) -> Any:
            with pytest.raises(expected) as caught:
                yield CALLS[call](client)
            return caught.value

        return Play(kind)(script, **{"api_key": "k", **SERVERS[server](root)})

    return caught


@contextmanager
def answering(reply: bytes, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server that reads a little and answers with these bytes, on each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=_answer, args=(listening, reply, context), daemon=True).start()
        yield listening.getsockname()[1]


def _answer(listening: socket.socket, reply: bytes, context: ssl.SSLContext | None) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:  # the test is over
            return
        try:
            connection = context.wrap_socket(connection, server_side=True) if context else connection
            connection.recv(1 << 16)
            connection.sendall(reply)
            if context is None:  # a close with a part of the request unread would reset the connection, reply and all
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(1)
                while connection.recv(1 << 16):
                    pass
        except OSError:
            pass
        connection.close()


def response(status: str, body: str = "", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", body]).encode()


@pytest.fixture
def closed() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def own_certificate() -> ssl.SSLContext:
    trustme = pytest.importorskip("trustme")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


def test_a_certificate_that_is_not_trusted(failure: Any, own_certificate: ssl.SSLContext) -> None:
    with answering(b"", own_certificate) as port:
        said = str(failure(f"https://127.0.0.1:{port}"))
    for words in (f"the certificate of https://127.0.0.1:{port} is not trusted", "SSL_CERT_FILE", "`http_client`"):
        assert words in said
    assert "http://" not in said


def test_https_on_an_http_port(failure: Any) -> None:
    with answering(response("400 Bad Request")) as port:
        said = str(failure(f"https://127.0.0.1:{port}"))
    assert "what answers on this port speaks no TLS" in said
    assert "no server answers" not in said


def test_http_on_an_https_port(failure: Any, own_certificate: ssl.SSLContext) -> None:
    with answering(b"", own_certificate) as port:
        said = str(failure(f"http://127.0.0.1:{port}"))
    assert f"http://127.0.0.1:{port} ended the connection before its answer was complete" in said
    assert "has to begin with https://" in said


@pytest.mark.parametrize(
    "body",
    ["Client sent an HTTP request to an HTTPS server.\n", "<p>The plain HTTP request was sent to HTTPS port</p>"],
)
def test_an_https_port_that_says_so(failure: Any, body: str) -> None:
    with answering(response("400 Bad Request", body, Content_Type="text/html")) as port:
        error = failure(f"http://127.0.0.1:{port}", openai.BadRequestError)
    assert f"http://127.0.0.1:{port} speaks https on this port" in str(error)
    assert "has to begin with https://" in str(error)


def test_a_proxy_that_does_not_listen(failure: Any, closed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://user:secret@127.0.0.1:{closed}")
    said = str(failure("http://server:11434"))
    for words in (f"the proxy http://127.0.0.1:{closed} (HTTP_PROXY)", "NO_PROXY=server", "`trust_env = false`"):
        assert words in said
    assert "secret" not in said
    assert "no server answers" not in said


def test_a_proxy_that_refuses_the_way(failure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(response("407 Proxy Authentication Required")) as port:
        monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{port}")
        said = str(failure("https://server:11434"))
    assert f"the proxy http://127.0.0.1:{port} (ALL_PROXY) refused the way to server: 407" in said


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("407 Proxy Authentication Required", openai.APIStatusError),
        ("403 Forbidden", openai.PermissionDeniedError),
        ("502 Bad Gateway", openai.InternalServerError),
    ],
)
def test_a_proxy_that_answers_itself(failure: Any, status: str, expected: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(response(status, "<html>Zscaler</html>", Content_Type="text/html")) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        said = str(failure("http://server:11434", expected))
    assert f"proxy http://127.0.0.1:{port} (HTTP_PROXY) answered {status}" in said


def test_what_the_server_says_through_a_proxy_stays(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(response("503 Busy", '{"error": "busy"}', Content_Type="application/json")) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")

        def script(client: Any) -> Any:
            with pytest.raises(openai.InternalServerError) as caught:
                yield CALLS["chat"](client)
            return str(caught.value)

        assert "proxy" not in play(script, **SERVERS["ollama"]("http://server:11434"))


def test_a_name_that_is_not_known(failure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*args: Any, **options: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    said = str(failure("http://no-such-host.internal:11434"))
    assert "'no-such-host.internal' is not known here" in said
    assert "correct" in said


def test_a_redirect_that_loses_the_call(failure: Any) -> None:
    """Where the SDK's own rules hold it is followed, and named afterwards; elsewhere it is not followed."""
    with answering(response("404 Not Found", "404 page not found")) as end:
        target = f"http://127.0.0.1:{end}"
        with answering(response("301 Moved Permanently", Location=f"{target}/x")) as front:
            error = failure(f"http://127.0.0.1:{front}", openai.APIStatusError)
    assert error.status_code == 301
    assert f"http://127.0.0.1:{front}/" in str(error)
    assert f"redirects to {target}/x" in str(error)
    assert "page not found" not in str(error)


@pytest.mark.parametrize("status", ["301 Moved Permanently", "302 Found", "303 See Other"])
@pytest.mark.parametrize("settings", [None, Settings(provider="ollama")], ids=["unconfigured", "the code's own"])
def test_a_programs_own_path_that_leads_to_its_result(play: Play, settings: Settings | None, status: str) -> None:
    """It is followed as by the SDK, where the path is none of OpenAI's."""
    result = response("200 OK", '{"done": true}', Content_Type="application/json")
    with answering(result) as end, answering(response(status, Location=f"http://127.0.0.1:{end}/result")) as front:

        def script(client: Any) -> Any:
            return (yield client.post("/jobs", body={"text": "x"}, cast_to=HTTPX.Response))

        reply = play(script, settings=settings, api_key="k", base_url=f"http://127.0.0.1:{front}/v1")
    assert (reply.json(), len(reply.history)) == ({"done": True}, 1)


@pytest.mark.parametrize(
    "ask", [CALLS["chat"], CALLS["responses"], lambda client: client.realtime.client_secrets.create()]
)
def test_a_login_is_no_reply(play: Play, ask: Any) -> None:
    """A 200 after a call of OpenAI's lost its content says nothing of that call."""
    page = response("200 OK", "<html>Sign in", Content_Type="text/html")
    with answering(page) as end, answering(response("302 Found", Location=f"http://127.0.0.1:{end}/login")) as front:

        def script(client: Any) -> Any:
            with pytest.raises(openai.APIStatusError, match=r"redirects to .*/login\. Status 302 turned"):
                yield ask(client)

        play(script, api_key="k", base_url=f"http://127.0.0.1:{front}/v1")


def test_a_reply_that_is_cut(play: Play) -> None:
    """It has begun, so nothing is wrong with the address."""
    with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{") as port:

        def script(client: Any) -> Any:
            with pytest.raises(openai.APIConnectionError, match="it stopped while it worked on the call") as caught:
                yield CALLS["chat"](client)
            return str(caught.value)

        assert "https" not in play(script, **SERVERS["ollama"](f"http://127.0.0.1:{port}"))


def test_every_attempt_is_made_first(play: Play, closed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed}")

    def script(client: Any) -> Any:
        with pytest.raises(openai.APIConnectionError, match=r"tried 2 times.*the proxy"):
            yield every((yield CALLS["stream"](client)))

    play(script, max_retries=1, api_key="k", **SERVERS["vllm"]("http://server:8000"))


def test_a_proxy_of_the_callers_own_client(play: Play, closed: int) -> None:
    """It is in no variable, so none is named."""
    kind = openai.DefaultHttpxClient if play.mode == "sync" else openai.DefaultAsyncHttpxClient

    def script(client: Any) -> Any:
        with pytest.raises(openai.APIConnectionError, match=r"the proxy .* \(of the `http_client`\)"):
            yield CALLS["chat"](client)

    own = kind(proxy=f"http://127.0.0.1:{closed}", verify=False)
    play(script, http_client=own, **SERVERS["ollama"]("http://server:11434"))
