"""Tools on Ollama: choices that it does not know, schemas that it would drop, calls that come back as text."""

from __future__ import annotations

import json
from typing import Any

import httpx
import openai
import pytest
from conftest import DONE
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from recorded import call, exchanges

from llm_adapter import Settings
from llm_adapter.providers.ollama.chat import request
from llm_adapter.translation.written_calls import calls_written_as_text

ASKED: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "description": "d", "parameters": CITY}}
TIME: Any = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}
NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}
CALLED = '{"name": "get_weather", "arguments": {"city": "Paris"}}'


def said(content: str = "", **message: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": content, **message}, **DONE}


def ask(run: Any, stream: bool = False, settings: Any = None, **arguments: Any) -> Any:
    arguments = {"model": "m", "messages": ASKED, "tools": [WEATHER, TIME], **arguments}
    options = {} if settings is None else {"settings": settings}
    if stream:
        return run.stream(lambda client: client.chat.completions.create(**arguments, stream=True), **options)
    return run(lambda client: client.chat.completions.create(**arguments), **options)


def test_none_withholds_the_tools(run: Any, ollama: Any) -> None:
    """Ollama's /v1 calls a tool all the same (recordings: tools_choice_none)."""
    ollama.answer("/api/chat", body=said("It is sunny."))
    reply = ask(run, tool_choice="none")
    assert "tools" not in ollama.sent
    assert reply.adapter.emulated == ["tool_choice"]


@pytest.mark.parametrize(("choice", "reason"), [("required", "tool_calls"), (NAMED, "stop")])
def test_a_demanded_call_is_constrained(choice: Any, reason: str, run: Any, ollama: Any) -> None:
    """The reply is held to one call of an allowed tool, thinking off, and arrives as tool_calls."""
    ollama.answer("/api/chat", body=said(CALLED))
    reply = ask(run, tool_choice=choice)
    sent = ollama.sent
    assert sent["think"] is False
    forms = sent["format"].get("anyOf", [sent["format"]])
    assert [form["properties"]["name"]["enum"] for form in forms] == (
        [["get_weather"], ["get_time"]] if choice == "required" else [["get_weather"]]
    )
    assert reply.choices[0].message.content is None
    [made] = reply.choices[0].message.tool_calls
    assert (made.function.name, json.loads(made.function.arguments)) == ("get_weather", {"city": "Paris"})
    assert reply.choices[0].finish_reason == reason


@pytest.mark.parametrize("stream", [False, True])
def test_prose_is_asked_once_more_and_then_an_error(stream: bool, run: Any, ollama: Any) -> None:
    """A server that does not constrain is asked twice; a demanded call never ends in plain content."""
    ollama.answer("/api/chat", body=said("It is sunny in Paris."))
    with pytest.raises(openai.UnprocessableEntityError, match="did not call a tool") as caught:
        ask(run, stream, tool_choice="required")
    assert (ollama.count, caught.value.code) == (2, "tool_call_invalid")
    assert [one["role"] for one in ollama.sent["messages"]] == ["user", "assistant", "user"]
    body: Any = caught.value.body
    assert body["raw"] == "It is sunny in Paris."


SPACES = {"model": "m", "message": {"role": "assistant", "content": '{"name":' + " " * 30}, "done": False}


@pytest.mark.parametrize("stream", [False, True])
def test_a_loop_is_asked_once_more(stream: bool, run: Any, ollama: Any) -> None:
    """0.33 stops a model that goes on with spaces under the grammar, with 200 and done=false."""
    answers = [httpx.Response(200, json=one) for one in (SPACES, said(CALLED))]
    ollama.answer("/api/chat").mock(side_effect=answers)
    got = ask(run, stream, tool_choice=NAMED)
    part = got[0].choices[0].delta if stream else got.choices[0].message
    assert [one.function.name for one in part.tool_calls] == ["get_weather"]
    # The same question, with what ends the loop: measured with the tiny model on 0.33.0-rc2.
    assert (len(ollama.sent["messages"]), ollama.sent["options"]["frequency_penalty"]) == (1, 1.0)
    assert (got[-1] if stream else got).adapter.changed == ["frequency_penalty"]


@pytest.mark.parametrize("place", ["call", "profile"])
def test_a_loop_with_a_penalty_of_the_callers(place: str, run: Any, ollama: Any) -> None:
    """What the call or the profile says of it stands, and nothing is told as changed."""
    answers = [httpx.Response(200, json=one) for one in (SPACES, said(CALLED))]
    ollama.answer("/api/chat").mock(side_effect=answers)
    penalty = {"frequency_penalty": 0.25}
    profile = Settings(provider="ollama", host="http://ollama.test:11434", options=penalty)
    given: Any = penalty if place == "call" else {"settings": profile}
    got = ask(run, tool_choice=NAMED, **given)
    assert (ollama.sent["options"]["frequency_penalty"], got.adapter.changed) == (0.25, None)


@pytest.mark.parametrize(
    ("corrections", "asked", "count"),
    [(1, {"tool_choice": NAMED}, 2), (0, {"tool_choice": NAMED}, 1), (2, {"tool_choice": NAMED}, 3), (1, {}, 1)],
)
def test_a_loop_without_an_end(corrections: int, asked: Any, count: int, run: Any, ollama: Any) -> None:
    """After the last attempt, and where nothing is demanded, it is the error that it is."""
    ollama.answer("/api/chat", body=SPACES)
    settings = Settings(provider="ollama", host="http://ollama.test:11434", corrections=corrections)
    with pytest.raises(openai.InternalServerError, match="ended before"):
        ask(run, settings=settings, **asked)
    assert ollama.count == count


def test_wrong_arguments_are_not_passed_on(run: Any, ollama: Any) -> None:
    """A constrained call with arguments that break the tool's schema is not a call."""
    ollama.answer("/api/chat", body=said('{"name": "get_weather", "arguments": {"town": "Paris"}}'))
    with pytest.raises(openai.UnprocessableEntityError, match="'city' is a required property"):
        ask(
            run,
            tool_choice="required",
            settings=Settings(provider="ollama", host="http://ollama.test:11434", corrections=0),
        )
    assert ollama.count == 1


def test_a_demanded_call_streams(run: Any, ollama: Any) -> None:
    """Streamed, the call comes with its place, id and finish, and the SDK's accumulator takes it."""
    ollama.answer("/api/chat", body=said(CALLED))
    chunks = ask(run, stream=True, tool_choice="required", stream_options={"include_usage": True})
    [made] = [one for chunk in chunks if chunk.choices for one in chunk.choices[0].delta.tool_calls or ()]
    assert (made.index, made.id.startswith("call_"), made.function.name) == (0, True, "get_weather")
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices] == [None, "tool_calls"]
    assert chunks[-1].usage.total_tokens == 5
    assert ollama.sent["stream"] is False  # the whole call is checked first


def test_allowed_tools(run: Any, ollama: Any) -> None:
    """Only the allowed tools are shown to the model."""
    ollama.answer("/api/chat", body=said("x"))
    choice: Any = {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "get_time"}}]},
    }
    ask(run, tool_choice=choice)
    assert [one["function"]["name"] for one in ollama.sent["tools"]] == ["get_time"]


@pytest.mark.parametrize("stream", [False, True])
def test_one_call_at_a_time(stream: bool, run: Any, ollama: Any) -> None:
    """`parallel_tool_calls=False` keeps the first call."""
    calls = [{"function": {"name": "get_weather", "arguments": {"city": city}}} for city in ("Paris", "Rome")]
    lines = [said(tool_calls=[one]) | {"done": False} for one in calls]
    ollama.answer("/api/chat", body=[*lines, said()] if stream else said(tool_calls=calls))
    got = ask(run, stream, parallel_tool_calls=False)
    deltas = [c.delta for chunk in got for c in chunk.choices] if stream else [got.choices[0].message]
    assert [one.function.arguments for delta in deltas for one in delta.tool_calls or ()] == ['{"city":"Paris"}']


@pytest.mark.parametrize("server", ["ollama-0.24.0", "ollama-0.32.15"])
def test_two_streamed_calls_accumulate(server: str, run: Any, ollama: Any) -> None:
    """The SDK's own accumulator gets two calls with their own arguments."""
    ollama.answer("/api/chat", body=exchanges(server, "tools_two_stream", "native")[0].body)
    chunks = ask(run, stream=True)
    calls = [one for chunk in chunks for c in chunk.choices for one in c.delta.tool_calls or ()]
    assert [(one.index, one.function.arguments) for one in calls] == [(0, '{"city":"Paris"}'), (1, '{"city":"Rome"}')]
    assert len({one.id for one in calls}) == 2
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


TEXTS = [
    (CALLED, 1),
    (f"```json\n{CALLED}\n```", 1),
    (f"<tool_call>\n{CALLED}\n</tool_call>", 1),
    (f"<tool_call>\n{CALLED}\n</tool_call>\n<tool_call>{CALLED}</tool_call>", 2),
    (f"[{CALLED}, {CALLED}]", 2),
    (f"{CALLED}\n{CALLED}", 2),
    ('{"name": "get_weather", "parameters": {"city": "Paris"}}', 1),
    (f"I will call {CALLED}", 0),
    (f"{CALLED} as you asked", 0),
    ('{"name": "rm_rf", "arguments": {}}', 0),
    ('{"name": "get_weather", "arguments": {}, "why": "x"}', 0),
    ('{"city": "Paris"}', 0),
    ("{", 0),
    ("", 0),
]


@pytest.mark.parametrize(("text", "count"), TEXTS, ids=[text for text, _ in TEXTS])
@pytest.mark.parametrize("stream", [False, True])
def test_calls_that_come_as_text(text: str, count: int, stream: bool, run: Any, ollama: Any) -> None:
    """A reply that is nothing but calls of offered tools is those calls; anything else stays text, whole."""
    pieces: Any = [said(letter) | {"done": False} for letter in text] + [said()]
    ollama.answer("/api/chat", body=pieces if stream else said(text))
    got = ask(run, stream)
    parts = [c.delta for chunk in got for c in chunk.choices] if stream else [got.choices[0].message]
    assert sum(len(part.tool_calls or ()) for part in parts) == count
    assert "".join(part.content or "" for part in parts) == ("" if count else text)
    finish = (got[-1] if stream else got).choices[0].finish_reason
    assert finish == ("tool_calls" if count else "stop")


def test_recovery_can_be_switched_off(run: Any, ollama: Any) -> None:
    ollama.answer("/api/chat", body=said(CALLED))
    settings = Settings(provider="ollama", host="http://ollama.test:11434", recover_tool_calls=False)
    assert ask(run, settings=settings).choices[0].message.content == CALLED


def test_text_is_not_held_back(run: Any, ollama: Any) -> None:
    """Prose flows as it comes: only what may be a call waits."""
    pieces: Any = [said(word) | {"done": False} for word in ("It", " is", " sunny")]
    ollama.answer("/api/chat", body=[*pieces, said()])
    assert [chunk.choices[0].delta.content for chunk in ask(run, stream=True)][:3] == ["It", " is", " sunny"]


@given(st.text(max_size=60))
def test_recovery_takes_nothing_else_for_a_call(text: str) -> None:
    """No text without a tool's name becomes a call, and no text raises."""
    assert calls_written_as_text(text, {"get_weather"}) == [] or "get_weather" in text


class Address(BaseModel):
    street: str = Field(pattern="^[A-Z]", description="The street")


class Order(BaseModel):
    to: Address
    others: list[Address] = []
    count: int = Field(ge=1, le=9)
    note: str | None = None


def test_schemas_reach_the_model_whole() -> None:
    """References are inlined; what Ollama drops of a schema is said in the descriptions (ollama-wire.md §1a)."""
    tool = openai.pydantic_function_tool(Order, name="order")
    sent = request(call("/chat/completions", {"model": "m", "messages": ASKED, "tools": [tool]}))
    function = sent["tools"][0]["function"]
    assert "$ref" not in json.dumps(function)
    properties = function["parameters"]["properties"]
    assert properties["to"]["properties"]["street"]["description"] == "The street (pattern: ^[A-Z])"
    assert properties["others"]["items"]["properties"]["street"]["type"] == "string"
    assert properties["count"]["description"] == "(maximum: 9) (minimum: 1)"
    assert "no other properties" in function["description"]


def test_strict_arguments_are_checked(run: Any, ollama: Any) -> None:
    """`strict` promises arguments that fit; a call that breaks it is sent back, then an error."""
    ollama.answer("/api/chat", body=said(tool_calls=[{"function": {"name": "get_weather", "arguments": {}}}]))
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
    with pytest.raises(openai.UnprocessableEntityError, match="'city' is a required property"):
        ask(run, tools=[strict])
    assert ollama.count == 2


@pytest.mark.parametrize("stream", [False, True])
def test_functions_before_tools(stream: bool, run: Any, ollama: Any) -> None:
    """The form before `tools` goes in as tools and comes out in its own form."""
    ollama.answer(
        "/api/chat", body=said(tool_calls=[{"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}])
    )
    history = [
        *ASKED,
        {
            "role": "assistant",
            "content": None,
            "function_call": {"name": "get_weather", "arguments": '{"city": "Rome"}'},
        },
        {"role": "function", "name": "get_weather", "content": "sunny"},
    ]
    got = ask(run, stream, tools=None, functions=[WEATHER["function"]], messages=history)
    choice = got[0].choices[0].delta if stream else got.choices[0].message
    assert (choice.function_call.name, choice.function_call.arguments) == ("get_weather", '{"city":"Paris"}')
    assert (got[-1] if stream else got).choices[0].finish_reason == "function_call"
    assert ollama.sent["tools"][0]["function"]["name"] == "get_weather"
    assert ollama.sent["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "get_weather", "arguments": {"city": "Rome"}}}],
        },
        {"role": "tool", "content": "sunny", "tool_name": "get_weather"},
    ]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"tool_choice": {"type": "function", "function": {"name": "nope"}}}, "tool_choice"),
    ({"tool_choice": "required", "tools": []}, "tool_choice"),
    ({"tool_choice": "maybe"}, "tool_choice"),
    ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools"),
]


@pytest.mark.parametrize(("arguments", "param"), WRONG, ids=str)
def test_refused(arguments: dict[str, Any], param: str, run: Any, ollama: Any) -> None:
    """What cannot be offered or demanded is refused by name, before anything is sent."""
    with pytest.raises(openai.BadRequestError) as caught:
        ask(run, **arguments)
    assert (caught.value.param, ollama.count) == (param, 0)


def test_agent_loop_of_three_turns(run: Any, ollama: Any) -> None:
    """Question, call, result, answer, next question: each turn's history is what the recorded server wants."""
    recordings = [exchanges("ollama-0.24.0", name, "native")[0] for name in ("tools", "tools_result", "tools_two")]
    messages: list[Any] = list(ASKED)
    for recording in recordings:
        ollama.answer("/api/chat", body=recording.body)
        message = ask(run, messages=messages).choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        messages += [
            {"role": "tool", "tool_call_id": one.id, "content": "18 degrees"} for one in message.tool_calls or ()
        ]
    natives = ollama.sent["messages"]
    assert [one["role"] for one in natives] == ["user", "assistant", "tool", "assistant"]
    assert natives[1]["tool_calls"][0]["id"] == natives[2]["tool_call_id"]
    assert [one["role"] for one in messages[4:]] == ["assistant", "tool", "tool"]
