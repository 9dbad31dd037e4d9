"""Certificates are read when a connection needs them, and are checked then as the HTTP library checks them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import pytest
from drivers import SYNC_AND_ASYNC, Play, mode
from loopback import Handler, Loopback, serving

from llm_adapter import Settings

MESSAGE = {"role": "assistant", "content": "Hello"}
REPLY = {
    **{"id": "c", "object": "chat.completion", "created": 1, "model": "m"},
    "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None, "message": MESSAGE}],
}
ASKED: Any = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def authority() -> Any:
    return pytest.importorskip("trustme").CA()


@pytest.fixture
def read(tmp_path: Path, authority: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files of certificates that were read. The environment names one, of the authority."""
    file = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    load = ssl.SSLContext.load_verify_locations
    files: list[str] = []

    def counted(context: ssl.SSLContext, cafile: Any = None, *_: Any, **__: Any) -> None:
        files.append(str(cafile))
        load(context, cadata=Path(cafile).read_text("ascii"))

    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", counted)
    return files


@contextmanager
def encrypted(authority: Any, name: str = "127.0.0.1") -> Iterator[Loopback]:
    """A server at https://, which answers in plain /v1. name: in its certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    with serving(context) as server:
        server.act = lambda handler: handler.reply(REPLY)
        yield server


def ask(client: Any) -> Any:
    return (yield client.chat.completions.create(**ASKED))


def asked_over_redirect(play: Play, server: Loopback) -> Any:
    """A call of the program's own server, which leads to another one at https://."""
    with serving() as first:
        place = f"https://127.0.0.1:{server.server_port}/v1/chat/completions"

        def lead(handler: Handler) -> None:
            handler.reply({}, 307, location=place)

        first.act = lead
        return play(ask, settings=Settings(), base_url=f"{first.root}/v1", api_key="k")


SETTINGS = {
    "ollama": lambda root: Settings(provider="ollama", host=root),
    "no environment": lambda root: Settings(provider="ollama", host=root, trust_env=False),
    "/v1": lambda root: Settings(base_url=f"{root}/v1", dialect="vllm"),
}


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:1"])
@pytest.mark.parametrize("name", SETTINGS)
def test_without_encryption(
    play: Play, name: str, proxy: str | None, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """None are read, whatever the environment says of proxies."""
    if proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
    with serving() as server:
        if name == "/v1":
            server.act = lambda handler: handler.reply(REPLY)
        play(ask, settings=SETTINGS[name](server.root), api_key="k")
    assert read == []


def test_with_encryption(play: Play, read: list[str], authority: Any) -> None:
    """A server at https:// has them when the client is made, and one client reads them once."""

    def script(client: Any) -> Any:
        before = len(read)
        yield client.chat.completions.create(**ASKED)
        yield client.with_options(settings=client.settings.model_copy(update={"corrections": 0})).models.list()
        return before

    with encrypted(authority) as server:
        settings = Settings(base_url=f"https://127.0.0.1:{server.server_port}/v1", dialect="vllm")
        assert play(script, settings=settings, api_key="k") == 1
    assert len(read) == 1


def test_a_redirect_to_a_host_that_is_trusted(play: Play, read: list[str], authority: Any) -> None:
    with encrypted(authority) as server:
        assert asked_over_redirect(play, server).id == "c"
    assert len(read) == 1


@pytest.mark.parametrize("wrong", ["authority", "name"])
def test_a_redirect_to_a_host_that_is_not(play: Play, read: list[str], authority: Any, wrong: str) -> None:
    """Who has issued the certificate is checked, and so is the name in it."""
    issuer, name = (type(authority)(), "127.0.0.1") if wrong == "authority" else (authority, "other.test")
    with encrypted(issuer, name) as server, pytest.raises(openai.APIConnectionError, match="certificate"):
        asked_over_redirect(play, server)
    assert server.asked == []
