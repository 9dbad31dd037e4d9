"""The SDK's WebSockets: refused by name where the server has none, and left to the SDK where it may have them."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import openai
import openai.resources
import pytest

from llm_adapter import AsyncOpenAI, OpenAI, Settings
from llm_adapter.client.sockets import SOCKETS

PATHS = [name if name != "beta" else "" for name in SOCKETS] + [
    f"{name}.{below}" for name, all_ in SOCKETS.items() for below in all_
]
HERE = {
    "ollama": Settings(provider="ollama", host="http://127.0.0.1:9"),
    "embedded": Settings(provider="embedded"),
    "llama.cpp": Settings(base_url="http://127.0.0.1:9/v1", dialect="llamacpp"),
    "lmstudio, by its port": Settings(base_url="http://127.0.0.1:1234/v1"),
}


def socket(client: Any, path: str) -> Any:
    """The resource, or None where this SDK has none of the name."""
    for name in path.split("."):
        client = getattr(client, name, None)
    return client


@pytest.mark.parametrize("here", HERE)
@pytest.mark.parametrize("kind", [OpenAI, AsyncOpenAI])
def test_refused_by_name(kind: Any, here: str) -> None:
    """Before anything is opened, as calls to endpoints that are not there; a copy refuses too."""
    client = kind(settings=HERE[here]).with_options(timeout=3)
    resources = {path: found for path in PATHS if path and (found := socket(client, path)) is not None}
    for path, resource in resources.items():
        with pytest.raises(openai.NotFoundError, match="is not available on provider") as caught:
            resource.connect()
        own = "/" + path.removeprefix("beta.").replace(".", "/")
        assert (caught.value.code, f"`{own}`" in str(caught.value)) == ("unsupported_endpoint", True), path
    assert {"realtime", "responses"} <= resources.keys()


def test_every_socket_of_the_sdk_is_known() -> None:
    """A new one would end in whatever the connection says."""
    found = set()
    for module in pkgutil.walk_packages(openai.resources.__path__, "openai.resources."):
        for name, value in vars(importlib.import_module(module.name)).items():
            own = isinstance(value, type) and value.__module__ == module.name and hasattr(value, "connect")
            found |= {module.name} if own and not name.startswith("Async") else set()
    for path in filter(None, PATHS):
        resource = socket(OpenAI(settings=HERE["ollama"]), path)
        found.discard(type(resource).__module__)
    assert found == set()


LEFT = {
    "openai": (Settings(provider="openai"), {"api_key": "k"}),
    "nothing configured": (Settings(), {"api_key": "k", "base_url": "http://127.0.0.1:9/v1"}),
    "vllm": (Settings(base_url="http://gpu:8000/v1", dialect="vllm"), {}),
    "an unknown server": (Settings(base_url="http://gpu:8000/v1"), {}),
}


@pytest.mark.parametrize("case", LEFT)
def test_left_to_the_sdk(case: str) -> None:
    settings, options = LEFT[case]
    assert "ConnectionManager" in type(OpenAI(settings=settings, **options).realtime.connect(model="m")).__name__


def test_local_only_opens_no_socket() -> None:
    """Its address is not that of calls, and is looked at as well."""
    settings = Settings(base_url="http://127.0.0.1:9/v1", local_only=True, call_site_key=True)
    client = OpenAI(settings=settings, api_key="k", websocket_base_url="wss://api.openai.com/v1")
    with pytest.raises(openai.PermissionDeniedError, match=r"`local_only` is set, and api\.openai\.com"):
        client.realtime.connect(model="m")
