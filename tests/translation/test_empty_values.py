"""Values that say nothing mean on every server what they mean to OpenAI: as if the parameter were not given."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle
from typing import Any

import openai
import pytest
from drivers import HTTPX

from llm_adapter import OpenAI, Settings
from llm_adapter.providers.v1.parameters import ROWS
from llm_adapter.responses.parameters import RESPONSES
from llm_adapter.translation.empty_values import NOT_GIVEN

ROOT = "http://server.test:9"
PROVIDERS: dict[str, Settings] = {
    "ollama": Settings(provider="ollama", host=ROOT),
    **{
        f"/v1 of {dialect}": Settings(provider="openai", base_url=f"{ROOT}/v1", dialect=dialect)  # type: ignore[arg-type]
        for dialect in ROWS
    },
    "unknown /v1": Settings(provider="openai", base_url=f"{ROOT}/v1"),
}
HI: Any = [{"role": "user", "content": "Hello"}]
CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "chat": (lambda client: client.chat.completions, {"messages": HI}),
    "completions": (lambda client: client.completions, {"prompt": "a"}),
    "embeddings": (lambda client: client.embeddings, {"input": "a", "encoding_format": "float"}),
    "responses": (lambda client: client.responses, {"input": "a"}),
}
TABLES: dict[str, Any] = {
    "chat": ROWS["llamacpp"]["/chat/completions"],  # the same parameters as in every other: OpenAI's
    "completions": ROWS["llamacpp"]["/completions"],
    "embeddings": ROWS["llamacpp"]["/embeddings"],
    "responses": RESPONSES,
}
NEEDED = ("model", "messages", "prompt", "input", "stream", "encoding_format")
EMPTY: list[Any] = [None, "", [], {}, 0, False]
REPLY: dict[str, Any] = {
    "id": "x",
    "model": "m",
    "choices": [{"index": 0, "message": {"content": "a"}, "text": "a", "finish_reason": "stop"}],
    "data": [{"id": "m", "index": 0, "embedding": [0.5]}],
    "message": {"content": "a"},
    "response": "a",
    "done": True,
    "embeddings": [[0.5]],
}


class Wire:
    """A client of one provider, and the bodies that it sent; every request gets the same reply."""

    def __init__(self, provider: str) -> None:
        self.sent: list[Any] = []
        http = HTTPX.Client(transport=HTTPX.MockTransport(self._answer))
        self.client = OpenAI(settings=PROVIDERS[provider], max_retries=0, http_client=http)

    def _answer(self, request: Any) -> Any:
        if request.content:
            self.sent.append(json.loads(request.content))
        return HTTPX.Response(200, json=REPLY)

    def asked(self, call: str, **given: Any) -> tuple[list[Any], Any]:
        """What a call sent, and the report on its reply."""
        self.sent = []
        resource, arguments = CALLS[call]
        reply = resource(self.client).create(**{"model": "m", **arguments}, extra_body=given)
        return self.sent, getattr(reply, "adapter", None)


@pytest.fixture(params=PROVIDERS)
def wire(request: pytest.FixtureRequest) -> Iterator[Wire]:
    wire = Wire(request.param)
    yield wire
    wire.client.close()


@pytest.mark.parametrize("call", CALLS)
def test_as_if_it_were_not_given(call: str, wire: Wire) -> None:
    """Each row of the tables, with null and each value of its own that says nothing."""
    plain = wire.asked(call)
    for name in TABLES[call]:
        for value in (None, *NOT_GIVEN.get(name, ())) if name not in NEEDED else ():
            assert wire.asked(call, **{name: value}) == plain, (name, value)


def test_every_such_value_is_of_a_parameter() -> None:
    known = {name for table in TABLES.values() for name in table}
    assert NOT_GIVEN.keys() - known == {"chat_template_kwargs", "options"}  # the servers' own


@pytest.mark.parametrize("call", CALLS)
def test_any_empty_value_is_answered_or_refused(call: str) -> None:
    """What says something, or means nothing to OpenAI either: the server's answer, or a 400, and nothing else."""
    wires = cycle([Wire(provider) for provider in PROVIDERS])
    for name in TABLES[call]:
        for value in EMPTY if name != "stream" else ():
            with suppress(openai.BadRequestError, openai.NotFoundError):
                next(wires).asked(call, **{name: value})


SAID: list[tuple[str, dict[str, Any]]] = [
    ("chat", {"temperature": 0, "top_p": 0, "seed": 0, "frequency_penalty": 0}),
    ("completions", {"temperature": 0, "top_p": 0, "seed": 0, "presence_penalty": 0}),
]


@pytest.mark.parametrize(("call", "given"), SAID, ids=[call for call, _ in SAID])
def test_zeros_that_say_something_are_sent(call: str, given: dict[str, Any], wire: Wire) -> None:
    [sent], _ = wire.asked(call, **given)
    assert {**sent, **sent.get("options", {})}.items() >= given.items()


def test_stops_that_are_empty_are_left_out(wire: Wire) -> None:
    [sent], _ = wire.asked("chat", stop=["", "x"])
    assert {**sent, **sent.get("options", {})}["stop"] == ["x"]


ABOUT_TOOLS = [
    {"tool_choice": "none"},
    {"tools": [], "tool_choice": "auto"},
    {"functions": [], "function_call": "none"},
]


@pytest.mark.parametrize("given", ABOUT_TOOLS, ids=str)
def test_a_choice_among_no_tools(given: dict[str, Any], wire: Wire) -> None:
    assert wire.asked("chat", **given) == wire.asked("chat")


LENGTHS = [("chat", "max_tokens"), ("chat", "max_completion_tokens"), ("responses", "max_output_tokens")]


@pytest.mark.parametrize(("call", "name"), LENGTHS, ids=[name for _, name in LENGTHS])
def test_a_length_of_nothing_is_refused(call: str, name: str, wire: Wire) -> None:
    """As OpenAI refuses it: Ollama would write without an end, and llama.cpp one token."""
    with pytest.raises(openai.BadRequestError) as caught:
        wire.asked(call, **{name: 0})
    assert (caught.value.param, caught.value.code, wire.sent) == (name, "integer_below_min_value", [])


@pytest.mark.parametrize("stream", [False, True])
def test_a_completion_of_no_tokens(stream: bool, wire: Wire) -> None:
    """It is its prompt where that is echoed, and is counted; an unknown server's own answer stands."""
    given: Any = {"prompt": ["a", "b"], "max_tokens": 0, "echo": True, "n": 2}
    if wire.client.settings.dialect == "vllm" or wire.client.settings == PROVIDERS["unknown /v1"]:
        return
    reply = wire.client.completions.create(model="m", stream=stream, **given)
    choices = [choice for one in (reply if stream else [reply]) for choice in one.choices]
    assert [(one.index, one.text, one.finish_reason) for one in choices] == [
        (place, text, "length") for place, text in enumerate("aabb")
    ]
    assert all({**one, **one.get("options", {})}.get("num_predict", one.get("max_tokens")) == 1 for one in wire.sent)
