"""The official `ollama` package on an OpenAI client: it says what is asked for, and ours does the asking.

By itself the package would use a client of its own: without the caller's `http_client`, retries and timeouts, with
proxies for this machine, and with OLLAMA_API_KEY for whatever host it is given (ollama _client.py BaseClient, 0.6.3).
So it gets a transport that hands each request to the SDK's client, as a call of the same path; there it goes the way of
all calls, and an error comes back as the SDK's own.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import ollama
import openai

from llm_adapter.transport.raw import UNREAD

_UNUSED_HOST = "http://llm-adapter.invalid"  # no request leaves for it


def client(sdk: openai.OpenAI) -> ollama.Client:
    return ollama.Client(_UNUSED_HOST, transport=_Transport(sdk), trust_env=False)


def async_client(sdk: openai.AsyncOpenAI) -> ollama.AsyncClient:
    return ollama.AsyncClient(_UNUSED_HOST, transport=_AsyncTransport(sdk), trust_env=False)


def no_read_timeout() -> Any:
    """Timeouts for a request that may take any time, but not to connect."""
    return openai.Timeout(None, connect=openai.DEFAULT_TIMEOUT.connect)


class _Transport(httpx.BaseTransport):
    def __init__(self, sdk: openai.OpenAI) -> None:
        self._sdk = sdk

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        reply: Any = self._sdk.post(request.url.path, cast_to=object, **_post_options(request))
        return _response(reply)


class _AsyncTransport(httpx.AsyncBaseTransport):
    def __init__(self, sdk: openai.AsyncOpenAI) -> None:
        self._sdk = sdk

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        reply: Any = await self._sdk.post(request.url.path, cast_to=object, **_post_options(request))
        return _response(reply)


def _post_options(request: httpx.Request) -> dict[str, Any]:
    body = json.loads(request.content)
    options = {"headers": UNREAD, **({"timeout": no_read_timeout()} if body.get("stream") else {})}
    return {"body": body, "options": options}


def _response(reply: Any) -> httpx.Response:
    return httpx.Response(reply.status_code, headers={"content-type": "application/json"}, stream=_Body(reply))


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """The body of the SDK's response."""

    def __init__(self, reply: Any) -> None:
        self._reply = reply

    def __iter__(self) -> Iterator[bytes]:
        yield from self._reply.iter_bytes()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for data in self._reply.iter_bytes():
            yield data

    def close(self) -> None:
        self._reply.close()

    async def aclose(self) -> None:
        await self._reply.close()
