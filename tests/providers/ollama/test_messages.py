"""OpenAI's messages on Ollama: one for one, nothing taken apart, nothing lost."""

from __future__ import annotations

import base64
from typing import Any

import openai
import pytest
from conftest import DONE, HI
from openai._base_client import BaseClient
from recorded import call

from llm_adapter import Rejected
from llm_adapter.providers.ollama.messages import messages

PNG = "iVBORw0KGgo="
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
NATIVE_CALL = {"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


TRANSLATED: list[tuple[str, list[Any], list[Any]]] = [
    ("text", HI, HI),
    ("parts", [{"role": "user", "content": [text("a"), text("b")]}], [{"role": "user", "content": "a\nb"}]),
    (
        "parts and image",
        [{"role": "user", "content": [text("a"), IMAGE, text("b")]}],
        [{"role": "user", "content": "a\nb", "images": [PNG]}],
    ),
    (  # a string, which Ollama's guides use
        "image as string",
        [{"role": "user", "content": [{"type": "image_url", "image_url": f"data:image/png;base64,{PNG}"}]}],
        [{"role": "user", "content": "", "images": [PNG]}],
    ),
    ("developer", [{"role": "developer", "content": "x"}, *HI], [{"role": "system", "content": "x"}, *HI]),
    (  # templates keep the first system message only
        "leading system messages",
        [{"role": "system", "content": "x"}, {"role": "developer", "content": [text("y")]}, *HI],
        [{"role": "system", "content": "x\n\ny"}, *HI],
    ),
    ("later developer", [*HI, {"role": "developer", "content": "x"}], [*HI, {"role": "system", "content": "x"}]),
    (
        "tool round",
        [
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "c1", "content": "r"},
        ],
        [
            {"role": "assistant", "content": "", "tool_calls": [NATIVE_CALL]},
            {"role": "tool", "content": "r", "tool_call_id": "c1", "tool_name": "f"},
        ],
    ),
    (  # Ollama's /v1 loses the id here
        "tool result in parts",
        [{"role": "tool", "tool_call_id": "c9", "content": [text("r")]}],
        [{"role": "tool", "content": "r", "tool_call_id": "c9"}],
    ),
    (  # "" is what OpenAI itself sends for no arguments, sometimes
        "empty arguments",
        [
            {
                "role": "assistant",
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}],
            }
        ],
        [{"role": "assistant", "content": "", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {}}}]}],
    ),
    (
        "history with reasoning",
        [{"role": "assistant", "content": "x", "reasoning_content": "t"}],
        [{"role": "assistant", "content": "x", "thinking": "t"}],
    ),
    ("refusal", [{"role": "assistant", "content": None, "refusal": "no"}], [{"role": "assistant", "content": "no"}]),
]


@pytest.mark.parametrize(("given", "native"), [row[1:] for row in TRANSLATED], ids=[row[0] for row in TRANSLATED])
def test_messages(given: list[Any], native: list[Any]) -> None:
    """The native messages of one conversation."""
    assert messages(call("/chat/completions", {"messages": given})) == native


REFUSED: list[tuple[Any, str]] = [
    ([], "at least one message"),
    ("hello", "must be a list"),
    ([{"role": "user"}], "needs more than it has"),
    ([{"role": "user", "content": None}], "content must be"),
    ([{"role": "pope", "content": "x"}], "'pope'"),
    (["x"], "is an object with a role"),
    ([{"role": "user", "content": [{"type": "file", "file": {}}]}], "content part 'file'"),
    ([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.test/b.png"}}]}], "image"),
    ([{"role": "tool", "content": "x"}], "needs more"),
    ([{"role": "function", "content": "x"}], "needs more"),
    ([{"role": "assistant", "audio": {"id": "a"}}], "`audio`"),
    ([{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom", "custom": {}}]}], "function tool calls"),
]


@pytest.mark.parametrize(("given", "reason"), REFUSED, ids=[row[1] for row in REFUSED])
def test_refused_messages(given: Any, reason: str) -> None:
    """What cannot be sent is refused with its place; nothing is left out."""
    with pytest.raises(Rejected, match=reason) as caught:
        messages(call("/chat/completions", {"messages": given}))
    assert caught.value.error["param"] == "messages"


def test_refusal_is_the_sdks_own_error(run: Any, ollama: Any) -> None:
    """A refusal never leaves the process and arrives as BadRequestError."""
    with pytest.raises(openai.BadRequestError, match=r"messages\[0\]: content part 'file'") as caught:
        run(
            lambda client: client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": [{"type": "file"}]}]
            )
        )
    assert caught.value.param == "messages"
    assert ollama.count == 0


def test_an_image_is_encoded_once(run: Any, ollama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDK builds a request before the image was looked at; that one is never sent."""
    built: list[int] = []
    build = BaseClient._build_request

    def building(self: Any, options: Any, **more: Any) -> Any:
        built.append(len(str(options.json_data)))
        return build(self, options, **more)

    monkeypatch.setattr(BaseClient, "_build_request", building)
    ollama.answer("/api/show", body={"capabilities": ["completion", "vision"]})
    ollama.answer("/api/chat", body={"model": "m", "message": {"content": "x"}, **DONE})
    data = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(3 << 20)).decode()
    image = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}}
    messages: Any = [{"role": "user", "content": [image]}]
    for _ in range(2):  # the second knows what the model can do
        run(lambda client: client.chat.completions.create(model="m", messages=messages))
    assert ollama.sent["messages"][0]["images"] == [data]
    assert max(built) < 1000
