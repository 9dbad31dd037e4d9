"""A call by method and path: its reply in OpenAI's form, as bytes."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from llm_adapter.testing import serving, text
from llm_adapter.transport.raw import raw
from tests.conftest import HI

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": HI}


def answered(persona: str, method: str, path: str, **asked: Any) -> tuple[int, bytes]:
    async def call(fake: Any) -> tuple[int, bytes]:
        async with fake.async_client() as client:
            reply = await raw(client, method, path, **asked)
            try:
                return reply.status_code, b"".join([data async for data in reply.iter_bytes()])
            finally:
                await reply.close()

    with serving(persona) as fake:
        fake.script(text("Hello"))
        return asyncio.run(call(fake))


PERSONAS = ("openai", "ollama@0.32", "llamacpp")


@pytest.mark.parametrize("persona", PERSONAS)
def test_a_reply_in_openai_s_form(persona: str) -> None:
    status, content = answered(persona, "POST", "/chat/completions", body=CHAT)
    reply = json.loads(content)
    assert (status, reply["object"], reply["choices"][0]["message"]["content"]) == (200, "chat.completion", "Hello")


@pytest.mark.parametrize("persona", PERSONAS)
def test_a_stream_is_events(persona: str) -> None:
    _, content = answered(persona, "POST", "/chat/completions", body={**CHAT, "stream": True})
    assert content.startswith(b"data: {")
    assert content.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("persona", PERSONAS)
def test_a_list_of_models(persona: str) -> None:
    assert json.loads(answered(persona, "GET", "/models")[1])["object"] == "list"


def test_an_error_is_the_sdk_s_own() -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        answered("ollama@0.32", "POST", "/chat/completions", body={**CHAT, "modalities": ["audio"]})
    assert caught.value.response.json()["error"]["param"] == "modalities"
