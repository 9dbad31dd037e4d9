"""Where a server is: every form that people write for a host, brought to one URL."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_adapter.settings.hosts import (
    InvalidHostError,
    is_loopback,
    is_ollama_cloud,
    is_openai,
    is_private,
    ollama_root,
    openai_base_url,
)

LOCAL = "http://127.0.0.1:11434"

# ollama-python _client.py _parse_host (v0.6.3) and ollama/envconfig/config_test.go TestHost (v0.24.0), then our own.
ROOTS = {
    "": LOCAL,
    "localhost": "http://localhost:11434",
    "1.2.3.4": "http://1.2.3.4:11434",
    ":56789": "http://127.0.0.1:56789",
    "1.2.3.4:56789": "http://1.2.3.4:56789",
    "localhost:": "http://localhost:11434",
    "http://1.2.3.4": "http://1.2.3.4",
    "https://1.2.3.4": "https://1.2.3.4",
    "https://1.2.3.4:56789": "https://1.2.3.4:56789",
    "http://1.2.3.4:80": "http://1.2.3.4",
    "https://example.com:443": "https://example.com",
    "example.com": "http://example.com:11434",
    "example.com/": "http://example.com:11434",
    "example.com:56789/path/": "http://example.com:56789/path",
    "https://example.com:56789/path": "https://example.com:56789/path",
    "HTTP://Example.COM": "http://example.com",
    "gpu_box:11434": "http://gpu_box:11434",
    "bücher.example": "http://bücher.example:11434",
    "[::1]": "http://[::1]:11434",
    "[::1]:1337": "http://[::1]:1337",
    "::1": "http://[::1]:11434",
    "http://[::1]": "http://[::1]",
    "[0001:002:003:0004::1]/path": "http://[0001:002:003:0004::1]:11434/path",
    "0.0.0.0": LOCAL,
    "0.0.0.0:8080": "http://127.0.0.1:8080",
    "http://0.0.0.0:11434": LOCAL,
    "[::]:11434": "http://[::1]:11434",
    "::": "http://[::1]:11434",
    '"localhost:1337"': "http://localhost:1337",
    " 'localhost' ": "http://localhost:11434",
    "ollama.com": "https://ollama.com",
    "ollama.com/v1": "https://ollama.com",
    "https://ollama.com/api": "https://ollama.com",
    "http://localhost:11434/": "http://localhost:11434",
    "http://localhost:11434/v1": "http://localhost:11434",
    "http://localhost:11434/v1/": "http://localhost:11434",
    "http://localhost:11434/api": "http://localhost:11434",
    "http://localhost:11434/api/chat": "http://localhost:11434",
    "http://localhost:11434/v1/chat/completions": "http://localhost:11434",
    "https://gateway.test/ollama/v1": "https://gateway.test/ollama",
    "https://gateway.test/apis": "https://gateway.test/apis",
}

BASE_URLS = {
    "https://llm.internal/v1": "https://llm.internal/v1",
    "https://llm.internal/v1/": "https://llm.internal/v1",
    "https://llm.internal": "https://llm.internal/v1",
    "https://llm.internal/v1/chat/completions": "https://llm.internal/v1",
    "https://llm.internal/v1/models": "https://llm.internal/v1",
    "https://openrouter.ai/api/v1": "https://openrouter.ai/api/v1",
    "https://chat.example/api": "https://chat.example/api",
    "https://me.services.ai.azure.com/models": "https://me.services.ai.azure.com/models",
    "https://gateway.test/openai": "https://gateway.test/openai",
    "http://localhost:11434": "http://localhost:11434/v1",
    "http://localhost:11434/api": "http://localhost:11434/v1",
    "http://0.0.0.0:8000/v1": "http://127.0.0.1:8000/v1",
    "localhost:8000": "http://localhost:8000/v1",
    "vllm:8000": "http://vllm:8000/v1",
    "10.0.0.7:8000/v1": "http://10.0.0.7:8000/v1",
    "::1": "http://[::1]/v1",
    "api.together.xyz": "https://api.together.xyz/v1",
    "'https://api.together.xyz/v1'": "https://api.together.xyz/v1",
}

WRONG = {
    "ftp://localhost": "expected http:// or https://, not ftp://",
    "localhost:port": "'port' is not a port",
    "localhost:99999": "'99999' is not a port",
    "localhost:0": "'0' is not a port",
    "[::1]8080": "'8080' is not a port",
    "localhost:1:2": "expected host, host:port or a URL",
    "my host": "expected host, host:port or a URL",
    "http:/localhost:11434": "expected http:// with two slashes",
    "http://me:secret@localhost": "write the address without them, and `headers",
    "http://localhost?key=secret": "a query or fragment",
}


@pytest.mark.parametrize("written", ROOTS)
def test_ollama_root(written: str) -> None:
    """Every form that Ollama's own client takes becomes one URL."""
    assert ollama_root(written) == ROOTS[written]


@pytest.mark.parametrize("written", BASE_URLS)
def test_openai_base_url(written: str) -> None:
    """A /v1 server's address gets its scheme and its /v1, and loses an endpoint."""
    assert openai_base_url(written) == BASE_URLS[written]


@pytest.mark.parametrize("parse", [ollama_root, openai_base_url])
@pytest.mark.parametrize("written", WRONG)
def test_wrong_host(written: str, parse: Any) -> None:
    """What is no address is refused in words that say what was expected."""
    with pytest.raises(InvalidHostError) as refusal:
        parse(written)
    assert WRONG[written] in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_localhost_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows would wait two seconds for ::1, where Ollama does not listen."""
    monkeypatch.setattr("sys.platform", "win32")
    assert ollama_root("localhost") == LOCAL


@settings(max_examples=150)
@given(
    st.text(max_size=30) | st.from_regex(r"(https?://)?[a-z0-9.\[\]:]{0,12}(:\d{0,6})?(/v1|/api)?/?", fullmatch=True)
)
def test_canonical_is_a_fixed_point(written: str) -> None:
    """Any text is refused or becomes a URL that stays what it is."""
    for parse in (ollama_root, openai_base_url):
        try:
            url = parse(written)
        except InvalidHostError:
            continue
        assert parse(url) == url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://localhost:11434/v1", True),
        ("http://api.localhost", True),
        ("http://127.1.2.3:8000", True),
        ("http://[::1]:11434", True),
        ("localhost:11434", True),
        ("http://192.168.1.2", False),
        ("http://localhost.evil.test", False),
        ("http://[broken", False),
    ],
)
def test_is_loopback(url: str, expected: bool) -> None:
    """This machine is known by its names, without a look-up."""
    assert is_loopback(url) is expected


SPELLINGS = {
    **dict.fromkeys(("0x7f000001", "2130706433", "127.1", "0", "[::1%25lo]", "[::1%lo]", "[fe80::1%25eth0]"), True),
    **dict.fromkeys(
        ("[::ffff:127.0.0.1]", "[64:ff9b::10.0.0.1]", "[fd00::1]", "localhost.", "gpu.", "a.internal."), True
    ),
    **dict.fromkeys(("\uff11\uff12\uff17.0.0.1", "4gpu", "gpu_box", "8.8.8.8@10.0.0.1"), True),
    **dict.fromkeys(("134744072", "0x08080808", "8.8", "8.8.8.8.", "[::ffff:8.8.8.8]", "[::8.8.8.8]"), False),
    **dict.fromkeys(("[64:ff9b::8.8.8.8]", "[64:ff9b:1::10.0.0.1]", "[2002:808:808::1]", "[2001::1]"), False),
    **dict.fromkeys(("012.1.2.3", "0177", "4294967296", "1.2.3.4.5", "0x"), False),  # read in two ways, or in none
    **dict.fromkeys(("evil\u3002com", "\uff18\uff0e8\uff618.8", "\u24d4vil.com", "evil.com.", "evil%2ecom"), False),
    **dict.fromkeys(("127.0.0.1@evil.com", "127.0.0.1\\@evil.com", "evil.com\\", "my host", ""), False),
}


@pytest.mark.parametrize("host", SPELLINGS)
def test_is_private(host: str) -> None:
    """A private host is known in every form that a system would understand, and a public one is not taken for it."""
    assert is_private(f"http://{host}:11434/v1") is SPELLINGS[host]


@pytest.mark.parametrize(
    ("url", "owner"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://API.OpenAI.com.:443/v1/", "openai"),
        ("https://ollama.com/v1", "ollama"),
        ("http://ollama.com/v1", None),
        ("https://api.openai.com.evil.test/v1", None),
        ("https://evil-api.openai.com.test/v1", None),
        ("https://notollama.com", None),
    ],
)
def test_owner(url: str, owner: str | None) -> None:
    """A key's owner is known by the whole host, and Ollama's only over https."""
    assert (is_openai(url), is_ollama_cloud(url)) == (owner == "openai", owner == "ollama")
