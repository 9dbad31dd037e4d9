"""Who speaks: a message's `name`, which only OpenAI shows its models."""

from __future__ import annotations

import json
from typing import Any

import pytest
from drivers import HTTPX, SYNC_AND_ASYNC, Play, every, mode
from recorded import call

from llm_adapter import Rejected, Settings
from llm_adapter.translation.messages import with_speakers

ROOT = "http://box.test"
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}


def by(name: Any, content: Any = "a", role: str = "user", **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **({"name": name} if name is not None else {}), **more}


def part(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


EMULATED, IGNORED = {"emulated": ["messages.name"]}, {"ignored": ["messages.name"]}
TOOL = {"role": "tool", "tool_call_id": "c", "content": "18", "name": "get_weather"}
ASKS = {"role": "assistant", "content": None, "name": "coder", "tool_calls": [{"id": "c"}]}
SPEAKERS: dict[str, tuple[list[Any], list[Any], dict[str, Any]]] = {
    "none": ([by(None), by("")], [by(None), by("")], {}),
    "one": ([by("ana"), by("ana", "b")], [by("ana"), by("ana", "b")], IGNORED),
    "one of each role": (
        [by("ana"), by("bob", role="assistant"), by("ana")],
        [by("ana"), by("bob", role="assistant"), by("ana")],
        IGNORED,
    ),
    "another agent's, to be answered": (
        [by("planner", role="system"), by(None, "b"), by("coder", [part("c"), part("d")], "assistant", refusal=None)],
        [by("planner", role="system"), by(None, "b"), by(None, "coder: c\nd")],
        {**EMULATED, **IGNORED},
    ),
    "agents' alone": (
        [by("coder", role="assistant"), by("coder", "b", "assistant")],
        [by(None, "coder: a", "assistant"), by(None, "coder: b")],
        EMULATED,
    ),
    "an agent's without a word": (
        [by(None), by("coder", "", "assistant")],
        [by(None), by("coder", "", "assistant")],
        IGNORED,
    ),
    "an agent's without a name": (
        [by("ana"), by(None, role="assistant")],
        [by("ana"), by(None, role="assistant")],
        IGNORED,
    ),
    "two": ([by("ana"), by("bob", "b")], [by(None, "ana: a"), by(None, "bob: b")], EMULATED),
    "a named and a nameless one": ([by("ana"), by(None, "b")], [by(None, "ana: a"), by(None, "b")], EMULATED),
    "assistants": (
        [by("ana", role="assistant"), by("bob", role="assistant")],
        [by(None, "ana: a", "assistant"), by(None, "bob: a")],
        EMULATED,
    ),
    "system and developer": (
        [by("example", role="system"), by(None, role="developer")],
        [by(None, "example: a", "system"), by(None, role="developer")],
        EMULATED,
    ),
    "both": (
        [by("ana"), by("bot", "x", "assistant"), by("bob")],
        [by(None, "ana: a"), by("bot", "x", "assistant"), by(None, "bob: a")],
        {**EMULATED, **IGNORED},
    ),
    "parts": (
        [by("ana", [PICTURE, part("a"), part("b")]), by("bob", [PICTURE])],
        [by(None, [PICTURE, part("ana: a"), part("b")]), by(None, [part("bob:"), PICTURE])],
        EMULATED,
    ),
    "a refusal": (
        [by("ana", [{"type": "refusal", "refusal": "no"}], "assistant"), by(None, role="assistant")],
        [by(None, [{"type": "refusal", "refusal": "ana: no"}], "assistant"), by(None, role="assistant")],
        EMULATED,
    ),
    "nothing said": ([ASKS, by(None, role="assistant")], [ASKS, by(None, role="assistant")], IGNORED),
    "tools are no speakers": (
        [by(None), TOOL, {**TOOL, "name": "other"}],
        [by(None), TOOL, {**TOOL, "name": "other"}],
        {},
    ),
    "no message": ([5, by("ana")], [5, by("ana")], IGNORED),
}


@pytest.mark.parametrize(("before", "after", "told"), SPEAKERS.values(), ids=SPEAKERS)
def test_speakers(before: list[Any], after: list[Any], told: dict[str, Any]) -> None:
    """A name is put before the text where it tells speakers of one role apart; the report says what became of it."""
    asked = call("/chat/completions", {"messages": before})
    assert with_speakers(before, asked) == after
    assert asked.report.notes == told


def test_a_name_that_is_no_text() -> None:
    said = [by(5)]
    with pytest.raises(Rejected, match=r"messages\[0\]: `name` must be a string"):
        with_speakers(said, call("/chat/completions", {"messages": said}))


# --- on every server, sync and async, plain, streamed, and as a response ----------------------------------------------

SAID: Any = [by(None, "Be brief.", "system"), by("ana", "Hello"), by("bot", "Hi", "assistant"), by("bob", "Hello")]
SHOWN = ["Be brief.", "ana: Hello", "Hi", "bob: Hello"]
SETTINGS = {
    "native": Settings(provider="ollama", host=ROOT),
    **{name: Settings(base_url=f"{ROOT}/v1", dialect=name) for name in ("ollama", "llamacpp", "vllm", "lmstudio")},
}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
CHUNK = {"index": 0, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
NATIVE = {"model": "m", "message": {"role": "assistant", "content": "Hi"}, "done": True, "done_reason": "stop"}


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


class Server:
    """One that says "Hi", natively and over /v1, and remembers the contents that it was sent."""

    contents: list[Any]

    def __call__(self, request: Any) -> Any:
        sent = json.loads(request.content)
        self.contents = [one["content"] for one in sent["messages"]]
        head = {"id": "x", "created": 1, "model": "m"}
        if request.url.path == "/api/chat":
            return HTTPX.Response(200, json=NATIVE)
        if not sent.get("stream"):
            return HTTPX.Response(200, json={**head, "object": "chat.completion", "choices": [CHOICE]})
        chunk = HTTPX.Response(200, json={**head, "object": "chat.completion.chunk", "choices": [CHUNK]}).content
        return HTTPX.Response(200, content=b"data: " + chunk + b"\n\ndata: [DONE]\n\n")


def chatted(client: Any) -> Any:
    return (yield client.chat.completions.create(model="m", messages=SAID))


def streamed(client: Any) -> Any:
    chunks = yield every((yield client.chat.completions.create(model="m", messages=SAID, stream=True)))
    return next(chunk for chunk in reversed(chunks) if getattr(chunk, "adapter", None))


def responded(client: Any) -> Any:
    return (yield client.responses.create(model="m", input=SAID))


@pytest.mark.parametrize("script", [chatted, streamed, responded])
@pytest.mark.parametrize("server", SETTINGS)
def test_named_messages(server: str, script: Any, play: Play) -> None:
    """Frameworks name their agents: the call is answered, the model sees who speaks, and the reply says so."""
    answering = Server()
    reply = play(script, settings=SETTINGS[server], http_client=play.http(answering))
    assert answering.contents == SHOWN
    assert (reply.adapter.emulated, reply.adapter.ignored) == (["messages.name"], ["messages.name"])
    assert reply.adapter.left_out is None
