"""The Responses API on backends that have only chat: what is asked, what is answered, what is refused."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Union, get_args, get_origin, get_type_hints

import openai
import pytest
from conftest import DONE, HOST
from drivers import HTTPX, SYNC_AND_ASYNC, Play, every, mode
from openai.types.responses import ToolParam, response_create_params
from openai.types.responses.response_input_item_param import ResponseInputItemParam
from pydantic import BaseModel
from recorded import SERVERS, exchanges

from llm_adapter import AdapterWarning, Call, Settings
from llm_adapter.provider import Rejected
from llm_adapter.responses.items import UNDERSTOOD, items, messages, readable_items
from llm_adapter.responses.parameters import INCLUDABLE, RESPONSES
from llm_adapter.responses.tools import tools
from llm_adapter.translation.process_cache import clear_caches

WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "Get the current weather for a city",
    "parameters": {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}},
    "strict": False,
}
CALLED = {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}, "id": "call_1"}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


class Ollama:
    """A server that says one message after another, and remembers what it was asked."""

    def __init__(self, *messages: dict[str, Any], **last: Any) -> None:
        self.replies = [{"model": "m", "message": {"role": "assistant", **one}, **DONE, **last} for one in messages]
        self.asked: list[dict[str, Any]] = []
        self.paths: list[str] = []

    def __call__(self, request: Any) -> Any:
        if request.url.path == "/api/show":
            capable = ["completion", "tools", "thinking", "vision"]
            return HTTPX.Response(200, json={"capabilities": capable, "details": {}, "model_info": {}})
        self.paths.append(request.url.path)
        self.asked.append(json.loads(request.content))
        reply = self.replies.pop(0)
        return HTTPX.Response(200, content=json.dumps(reply) + "\n")


def on(play: Play, server: Any, script: Any, **settings: Any) -> Any:
    """A script's result, on a server of ours."""
    configured = Settings(**{"provider": "ollama", "host": HOST, **settings})
    return play(script, settings=configured, http_client=play.http(server))


def asked(play: Play, **arguments: Any) -> dict[str, Any]:
    """The native request of one call."""
    server = Ollama({"content": "{}"})

    def script(client: Any) -> Any:
        return (yield client.responses.create(**{"model": "m", "input": "Hello", **arguments}))

    on(play, server, script)
    return server.asked[0]


def answered(play: Play, message: dict[str, Any], last: Any = None, **arguments: Any) -> Any:
    """The response to one native message."""

    def script(client: Any) -> Any:
        return (yield client.responses.create(**{"model": "m", "input": "Hello", **arguments}))

    return on(play, Ollama(message, **(last or {})), script)


# --- the rows --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["NonStreaming", "Streaming"])
def test_every_parameter_of_the_sdk_has_a_row(kind: str) -> None:
    """A new SDK with a new parameter turns this red, instead of the parameter being dropped."""
    params = get_type_hints(getattr(response_create_params, f"ResponseCreateParams{kind}"))
    assert set(params) <= set(RESPONSES)
    assert all(row.note for row in RESPONSES.values())


def test_every_includable_of_the_sdk_is_known() -> None:
    assert set(get_args(openai.types.responses.ResponseIncludable)) <= set(INCLUDABLE)


def kinds(union: Any) -> set[str]:
    """What a union's members can have as their type."""
    found = set()
    for member in get_args(union) if get_origin(union) is Union else [union]:
        hint = get_type_hints(member)["type"]
        found |= {value for value in _values(hint) if isinstance(value, str)}
    return found


def _values(hint: Any) -> set[Any]:
    if not get_args(hint):
        return {hint}
    return {value for one in get_args(hint) for value in _values(one)}


def call(**body: Any) -> Call:
    settings = Settings(provider="ollama", unsupported=body.pop("unsupported", "error"))
    return Call("POST", "/responses", body, settings, "0" * 32, 1)


@pytest.mark.parametrize("kind", sorted(kinds(ResponseInputItemParam)))
def test_every_item_of_the_sdk_is_understood_or_refused(kind: str) -> None:
    """No item falls through: OpenAI's own tools leave items behind that nothing here could make sense of."""
    asked = call()
    given = items(asked, [{"type": kind, "role": "user", "content": "x", "id": "i_1"}])
    if kind in UNDERSTOOD and kind != "item_reference":
        assert readable_items(asked, given) == given
    else:
        with pytest.raises(
            Rejected, match=rf"input\[0\]: .*{kind.removesuffix('_reference')}.*`unsupported = "
        ) as caught:
            readable_items(asked, given)
        assert (caught.value.error["param"], asked.report.notes) == ("input", {"left_out": [f"input.{kind}"]})


@pytest.mark.parametrize("kind", sorted(kinds(ToolParam) - {"function"}))
def test_every_hosted_tool_is_refused_by_name(kind: str) -> None:
    """Ollama's own /v1 shows the model a function without a name instead."""
    with pytest.raises(Rejected, match=rf"`?tools\[0\]: a tool of type '{kind}'") as caught:
        tools(call(), [{"type": kind, "name": "x"}])
    assert (caught.value.error["param"], caught.value.error["code"]) == ("tools", "unsupported_parameter")


# --- the request -----------------------------------------------------------------------------------------------------

BASE = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": False, "truncate": False}
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
HONOURED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),  # nothing is sent that nobody asked for
    ({"temperature": 0, "top_p": 0.5}, {"options": {"temperature": 0, "top_p": 0.5}}),
    ({"max_output_tokens": 5}, {"options": {"num_predict": 5}}),
    ({"text": {"format": {"type": "json_object"}}}, {"format": "json"}),
    ({"text": {"format": {"type": "text"}, "verbosity": "medium"}}, {}),
    ({"reasoning": {"effort": "none"}}, {"think": False}),
    ({"reasoning": {"effort": "high", "summary": "auto"}}, {"think": "high"}),
    ({"include": ["message.output_text.logprobs"]}, {"logprobs": True}),
    ({"include": ["reasoning.encrypted_content"]}, {}),
    ({"top_logprobs": 2}, {"logprobs": True, "top_logprobs": 2}),
    ({"user": "u", "metadata": {"a": "b"}, "store": True, "service_tier": "auto", "max_tool_calls": 3}, {}),
    ({"background": False, "tools": [], "tool_choice": "auto", "parallel_tool_calls": True}, {}),
    ({"truncation": "disabled"}, {}),
    ({"extra_body": {"prompt_cache_options": {"ttl": "30m"}, "image": {"context_compression": "auto"}}}, {}),
    ({"extra_body": {"keep_alive": "1h", "num_ctx": 4096}}, {"keep_alive": "1h", "options": {"num_ctx": 4096}}),
    ({"extra_body": {"stop": "x"}}, {"options": {"stop": ["x"]}}),
]


@pytest.mark.parametrize(("arguments", "native"), HONOURED, ids=str)
def test_honoured(arguments: dict[str, Any], native: dict[str, Any], play: Play) -> None:
    """What a parameter becomes on the wire."""
    assert asked(play, **arguments) == {**BASE, **native}


def test_schema(play: Play) -> None:
    given = {"type": "json_schema", "name": "x", "schema": SCHEMA, "strict": False}
    assert asked(play, text={"format": given})["format"]["properties"] == SCHEMA["properties"]


def test_tools(play: Play) -> None:
    sent = asked(play, tools=[WEATHER])
    [function] = [tool["function"] for tool in sent["tools"]]
    assert {name: function[name] for name in ("name", "description")} == {
        "name": "get_weather",
        "description": "Get the current weather for a city",
    }
    assert function["parameters"]["properties"] == {"city": {"type": "string"}}


CHOICES: dict[str, tuple[Any, Any]] = {
    "none": ("none", "none"),
    "function": (
        {"type": "function", "name": "get_weather"},
        {"type": "function", "function": {"name": "get_weather"}},
    ),
    "allowed": (
        {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "get_weather"}]},
        "auto",  # those alone are offered: vLLM does not know the form
    ),
}


@pytest.mark.parametrize(("ours", "chats"), CHOICES.values(), ids=CHOICES)
def test_tool_choice(ours: Any, chats: Any, play: Play) -> None:
    """What a /v1 server that has only chat is asked."""
    server = V1()

    def script(client: Any) -> Any:
        with suppress(openai.UnprocessableEntityError):  # it answers with text: a demanded call that did not come
            yield client.responses.create(model="m", input="Hello", tools=[WEATHER], tool_choice=ours)

    on(play, server, script, **VLLM)
    assert server.asked[-1]["tool_choice"] == chats


def test_required_tool_call(play: Play) -> None:
    """Forced by chat's own means: a reply that is constrained to a call."""
    content = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
    response = answered(play, {"content": content}, tools=[WEATHER], tool_choice="required")
    assert [(item.type, item.name, item.arguments) for item in response.output] == [
        ("function_call", "get_weather", '{"city":"Paris"}')
    ]


def message(role: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"role": role, "content": content, **more}


CALL_ITEM = {"type": "function_call", "call_id": "call_1", "name": "get_weather", "arguments": '{"city":"Paris"}'}
OUTPUT_ITEM = {"type": "function_call_output", "call_id": "call_1", "output": "18"}
RESULT = {"role": "tool", "content": "18", "tool_call_id": "call_1", "tool_name": "get_weather"}
CALLED_MESSAGE = {"role": "assistant", "content": "", "tool_calls": [CALLED]}
ITEMS: dict[str, tuple[Any, list[dict[str, Any]]]] = {
    "easy": (
        [message("user", "a"), message("assistant", "b"), message("user", "c")],
        [message("user", "a"), message("assistant", "b"), message("user", "c")],
    ),
    "full": (
        [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "a"}]}],
        [message("user", "a")],
    ),
    "developer": ([message("developer", "a"), message("user", "b")], [message("system", "a"), message("user", "b")]),
    "image": (
        [
            message(
                "user",
                [
                    {"type": "input_text", "text": "a"},
                    {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}"},
                ],
            )
        ],
        [message("user", "a", images=[PIXEL])],
    ),
    "said": (
        [
            message("user", "a"),
            {
                "type": "message",
                "id": "msg_1",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "b", "annotations": []}],
            },
        ],
        [message("user", "a"), message("assistant", "b")],
    ),
    "refusal": ([message("assistant", [{"type": "refusal", "refusal": "no"}])], [message("assistant", "no")]),
    "tool": ([message("user", "a"), CALL_ITEM, OUTPUT_ITEM], [message("user", "a"), CALLED_MESSAGE, RESULT]),
    "parts": (
        [CALL_ITEM, {**OUTPUT_ITEM, "output": [{"type": "input_text", "text": "18"}]}],
        [CALLED_MESSAGE, RESULT],
    ),
    "text and call in one": (
        [message("assistant", "b"), CALL_ITEM, OUTPUT_ITEM],
        [{**CALLED_MESSAGE, "content": "b"}, RESULT],
    ),
    "two calls in one": (
        [CALL_ITEM, {**CALL_ITEM, "call_id": "call_2"}, OUTPUT_ITEM],
        [{**CALLED_MESSAGE, "tool_calls": [CALLED, {**CALLED, "id": "call_2"}]}, RESULT],
    ),
    "two messages": (
        [message("assistant", "a"), message("assistant", "b")],
        [message("assistant", "a"), message("assistant", "b")],
    ),
    "reasoning": (
        [
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]},
            CALL_ITEM,
            OUTPUT_ITEM,
        ],
        [{**CALLED_MESSAGE, "thinking": "hm"}, RESULT],
    ),
    "reasoning text": (
        [
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
            message("assistant", "b"),
        ],
        [message("assistant", "b", thinking="hm")],
    ),
    "reasoning of nothing": (
        [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}, message("user", "b")],
        [message("user", "b")],
    ),
}


@pytest.mark.parametrize(("given", "native"), ITEMS.values(), ids=ITEMS)
def test_items(given: Any, native: Any, play: Play) -> None:
    """What the model sees of a call's input: one message for what an assistant thought, said and called in one go."""
    assert asked(play, input=given)["messages"] == native


def test_instructions_come_first(play: Play) -> None:
    sent = asked(play, instructions="Be brief.", input=[message("system", "Rhyme."), message("user", "Hello")])
    assert sent["messages"] == [message("system", "Be brief.\n\nRhyme."), message("user", "Hello")]


def test_truncation(play: Play) -> None:
    """ "auto" is the profile's `overflow = "truncate"` for one call."""
    from llm_adapter.responses.parameters import chat_call

    history = items(call(), "Hello")
    assert chat_call(call(model="m", truncation="auto"), history).settings.overflow == "truncate"
    assert chat_call(call(model="m"), history).settings.overflow == "error"


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "background": ({"background": True}, "`background`", "background"),
    "prompt": ({"prompt": {"id": "pmpt_1"}}, "`prompt`", "prompt"),
    "prompt alone": ({"prompt": {"id": "pmpt_1"}, "input": openai.omit}, "`prompt`", "prompt"),
    "moderation": ({"extra_body": {"moderation": {"model": "m"}}}, "`moderation`", "moderation"),
    "compaction": (
        {"extra_body": {"context_management": [{"type": "compaction"}]}},
        "compaction",
        "context_management",
    ),
    "prewarm": (
        {"extra_body": {"prompt_cache_options": {"prewarm": True}}},
        "`prompt_cache_options`",
        "prompt_cache_options",
    ),
    "verbosity": ({"text": {"verbosity": "low"}}, "`text.verbosity`", "text"),
    "format": ({"text": {"format": {"type": "grammar"}}}, "`text.format`", "text"),
    "effort": ({"reasoning": {"effort": "huge"}}, "`reasoning`", "reasoning"),
    "pro": ({"reasoning": {"mode": "pro"}}, "`reasoning.mode`", "reasoning"),
    "include": ({"include": ["everything"]}, "`include`", "include"),
    "truncation": ({"truncation": "some"}, "`truncation`", "truncation"),
    "web search": ({"tools": [{"type": "web_search"}]}, r"tools\[0\].*web_search", "tools"),
    "custom tool": ({"tools": [WEATHER, {"type": "custom", "name": "c"}]}, r"tools\[1\].*custom", "tools"),
    "programmatic": ({"tools": [{**WEATHER, "allowed_callers": ["programmatic"]}]}, "not called directly", "tools"),
    "hosted choice": ({"tool_choice": {"type": "web_search_preview"}}, "web_search_preview", "tool_choice"),
    "allowed hosted": (
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "mcp"}]}},
        "mcp",
        "tool_choice",
    ),
    "unknown choice": ({"tool_choice": "sometimes"}, "sometimes", "tool_choice"),
    "unknown function": (
        {"tools": [WEATHER], "tool_choice": {"type": "function", "name": "other"}},
        "other",
        "tool_choice",
    ),
    "file": ({"input": [message("user", [{"type": "input_file", "file_id": "f"}])]}, "input_file", "input"),
    "image by id": ({"input": [message("user", [{"type": "input_image", "file_id": "f"}])]}, "input_image", "input"),
    "hosted item": ({"input": [{"type": "web_search_call", "id": "ws_1"}]}, "web_search_call", "input"),
    "orphan": ({"input": [OUTPUT_ITEM]}, "No tool call found .* call_1", "input"),
    "no role": ({"input": [{"type": "message", "content": "a"}]}, "role", "input"),
    "no item": ({"input": [5]}, r"input\[0\]", "input"),
    "empty": ({"input": []}, "`input` is required", "input"),
    "number": ({"input": 5}, "`input`", "input"),
    "instructions": ({"instructions": ["a"]}, "`instructions`", "instructions"),
    "chat's name": ({"extra_body": {"messages": []}}, "`messages`.*`input`", "messages"),
    "n": ({"extra_body": {"n": 2}}, "`n`", "n"),
    "misspelt": ({"extra_body": {"keep_alife": "1h"}}, "`keep_alive`", "keep_alife"),
    "both": ({"previous_response_id": "resp_1", "conversation": "conv_1"}, "together", "previous_response_id"),
}


@pytest.mark.parametrize(("arguments", "match", "param"), REFUSED.values(), ids=REFUSED)
def test_refused(arguments: dict[str, Any], match: str, param: str, play: Play) -> None:
    """What changes the answer and cannot be done is refused by its name, before anything is sent."""
    server = Ollama()

    def script(client: Any) -> Any:
        with pytest.raises(openai.BadRequestError, match=match) as caught:
            yield client.responses.create(**{"model": "m", "input": "Hello", **arguments})
        return caught.value.param

    assert (on(play, server, script), server.asked) == (param, [])


SEARCH = {"type": "web_search"}
CUSTOM = [
    {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": 'a "b"'},
    {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
]
ASKED = [message("user", "Hello")]
LEFT_OUT: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "a tool": ({"tools": [SEARCH, WEATHER]}, {"tools": ["get_weather"]}, ["tools.web_search"]),
    "all tools": ({"tools": [SEARCH], "tool_choice": "required"}, {"tools": None}, ["tools.web_search"]),
    "a choice": (
        {"tools": [WEATHER], "tool_choice": SEARCH},
        {"tools": ["get_weather"]},
        ["tool_choice.web_search"],
    ),
    "allowed tools": (
        {"tools": [WEATHER], "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [SEARCH]}},
        {"tools": ["get_weather"]},
        ["tool_choice.web_search"],
    ),
    "an item": (
        {"input": [*ASKED, {"type": "web_search_call", "id": "ws_1"}, message("assistant", "Hi"), *ASKED]},
        {"messages": [*ASKED, message("assistant", "Hi"), *ASKED]},
        ["input.web_search_call"],
    ),
    "what is no item's type yet": (
        {"input": [*ASKED, {"type": "dream"}]},
        {"messages": ASKED},
        ["input.dream"],
    ),
    "a reference": ({"input": [*ASKED, {"id": "msg_1"}]}, {"messages": ASKED}, ["input.item_reference"]),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("arguments", "sent", "told"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_left_out(arguments: Any, sent: Any, told: Any, stream: bool, play: Play) -> None:
    """`unsupported = "warn"` leaves out what only OpenAI has, and says on the reply what it was."""

    def script(client: Any) -> Any:
        reply = yield client.responses.create(**{"model": "m", "input": "Hello", **arguments}, stream=stream)
        return (yield every(reply))[-1].response if stream else reply

    clear_caches()  # one line warns once of each cause
    server = Ollama({"content": "Hi"})
    with pytest.warns(AdapterWarning, match=told[0].partition(".")[2].partition("_")[0]):
        response = on(play, server, script, unsupported="warn")
    (native,) = server.asked
    native["tools"] = [tool["function"]["name"] for tool in native.get("tools") or ()] or None
    assert {name: native[name] for name in sent} == sent
    assert response.adapter.left_out == told


def test_a_custom_tools_call_is_shown_as_a_functions() -> None:
    """Where items may be left out: the model sees what was done, and what came of it."""
    asked = call(unsupported="ignore")
    called, told = messages(asked, None, items(asked, CUSTOM))
    assert called["tool_calls"][0]["function"] == {"name": "apply_patch", "arguments": '{"input": "a \\"b\\""}'}
    assert told == {"role": "tool", "tool_call_id": "c1", "content": "done"}
    assert asked.report.notes == {"emulated": ["input.custom_tool_call", "input.custom_tool_call_output"]}


def test_an_item_of_an_earlier_turn(play: Play) -> None:
    """What was left out is kept with the response: the next turn says again that it is without it."""

    def script(client: Any) -> Any:
        first = yield client.responses.create(model="m", input=[{"type": "mcp_list_tools"}, *ASKED])
        second = yield client.responses.create(model="m", input="And?", previous_response_id=first.id)
        kept = yield client.responses.input_items.list(first.id)
        strict = client.with_options(settings=Settings(provider="ollama", host=HOST))
        with pytest.raises(openai.BadRequestError, match="an earlier turn: an item of type 'mcp_list_tools'"):
            yield strict.responses.create(model="m", input="So?", previous_response_id=first.id)
        return second.adapter.left_out, {item.type for item in kept.data}

    server = Ollama(*[{"content": "Hi"}] * 2)
    assert on(play, server, script, unsupported="ignore") == (["input.mcp_list_tools"], {"mcp_list_tools", "message"})


# --- the reply -------------------------------------------------------------------------------------------------------


def test_text(play: Play) -> None:
    response = answered(play, {"content": "Hi"}, metadata={"a": "b"}, instructions="Be brief.")
    assert (response.output_text, response.status, response.error) == ("Hi", "completed", None)
    assert response.id.startswith("resp_")
    assert response.output[0].id.startswith("msg_")
    assert (response.metadata, response.instructions, response.store) == ({"a": "b"}, "Be brief.", True)
    usage = response.usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (3, 2, 5)
    assert (usage.input_tokens_details.cached_tokens, usage.output_tokens_details.reasoning_tokens) == (0, 0)
    assert (response.ollama.total_duration, response.adapter.provider) == (9, "ollama")


def test_reasoning_text_and_calls(play: Play) -> None:
    """Nothing of a message is lost, in OpenAI's order: Ollama's own /v1 drops the text beside tool calls."""
    native = {"thinking": "hm", "content": "One moment.", "tool_calls": [CALLED, {**CALLED, "id": "call_2"}]}
    response = answered(play, native, tools=[WEATHER])
    assert [item.type for item in response.output] == ["reasoning", "message", "function_call", "function_call"]
    thought, said, *called = response.output
    assert [part.text for part in thought.summary] == ["hm"]
    assert (thought.encrypted_content, said.content[0].text) == (None, "One moment.")
    assert [(one.call_id, one.arguments) for one in called] == [
        ("call_1", '{"city":"Paris"}'),
        ("call_2", '{"city":"Paris"}'),
    ]
    assert len({item.id for item in response.output}) == 4


CUT: dict[str, tuple[dict[str, Any], list[tuple[str, Any]]]] = {
    "in the text": ({"content": "Once"}, [("message", "incomplete")]),
    "in the thought": ({"content": "", "thinking": "hm"}, [("reasoning", None)]),
    "after a thought": ({"content": "O", "thinking": "hm"}, [("reasoning", None), ("message", "incomplete")]),
}


@pytest.mark.parametrize(("native", "output"), CUT.values(), ids=CUT)
@pytest.mark.filterwarnings("ignore:thinking used the whole")
def test_incomplete(native: Any, output: Any, play: Play) -> None:
    """A reply that was cut says so: Ollama's own /v1 says "completed"."""
    response = answered(play, native, {"done_reason": "length"}, max_output_tokens=1)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert [(item.type, item.status) for item in response.output] == output


def test_silence_is_an_empty_message(play: Play) -> None:
    """An agent's loop ends with a message; without one it would ask again."""
    response = answered(play, {"content": "", "thinking": "hm"})
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert (response.output_text, response.status) == ("", "completed")


def test_logprobs(play: Play) -> None:
    logs: list[Any] = [{"token": "Hi", "logprob": -0.5, "top_logprobs": [{"token": "Hi", "logprob": -0.5}]}]
    native = {"content": "Hi", "thinking": "hm"}
    logs.insert(0, {"token": "hm", "logprob": -1.0})  # Ollama gives those of the thinking, too
    response = answered(play, native, {"logprobs": logs}, include=["message.output_text.logprobs"])
    [log] = response.output[1].content[0].logprobs
    assert (log.token, log.logprob, log.top_logprobs[0].token) == ("Hi", -0.5, "Hi")


def test_parse(play: Play) -> None:
    def script(client: Any) -> Any:
        return (yield client.responses.parse(model="m", input="Ana, 30", text_format=Person))

    server = Ollama({"content": '{"name": "Ana", "age": 30}'})
    response = on(play, server, script)
    assert response.output_parsed == Person(name="Ana", age=30)
    assert set(server.asked[0]["format"]["required"]) == {"name", "age"}


def test_broken_structure(play: Play) -> None:
    """A reply that does not fit is sent back once; then it is an error in this API's words, with the raw text."""

    def script(client: Any) -> Any:
        with pytest.raises(openai.UnprocessableEntityError, match="`text`") as caught:
            yield client.responses.parse(model="m", input="Ana, 30", text_format=Person)
        return caught.value.body

    server = Ollama({"content": "no"}, {"content": "never"})
    assert on(play, server, script)["raw"] == "never"
    assert len(server.asked) == 2


ERRORS: dict[str, tuple[int, Any, type[openai.APIStatusError], str | None]] = {
    "model": (404, {"error": "model 'm' not found"}, openai.NotFoundError, "model"),
    "context": (400, {"error": "the input exceeds the context length"}, openai.BadRequestError, "input"),
    "tools": (400, {"error": "m does not support tools"}, openai.BadRequestError, "tools"),
    "thinking": (400, {"error": '"m" does not support thinking'}, openai.BadRequestError, "reasoning"),
}


@pytest.mark.parametrize(("status", "body", "kind", "param"), ERRORS.values(), ids=ERRORS)
def test_errors(status: int, body: Any, kind: Any, param: Any, play: Play) -> None:
    """The server's refusals name this API's parameters."""

    def script(client: Any) -> Any:
        with pytest.raises(kind) as caught:
            yield client.responses.create(model="m", input="Hello")
        return caught.value.param

    assert on(play, lambda request: HTTPX.Response(status, json=body), script) == param


RECORDED = [
    (server, place, one)
    for server in SERVERS[:2]
    for place, one in enumerate(exchanges(server, "responses", "v1"))
    if not one.streamed
]
# What we answer differently: ids; the time of completion, which no clock here tells; sampling values that were not
# sent are not claimed; the response is stored; and what is not encrypted is not called so.
OURS = {"id", "created_at", "completed_at", "top_p", "presence_penalty", "frequency_penalty", "store", "reasoning"}


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: f"{case[0]}-{case[1]}")
def test_recorded(case: Any, play: Play) -> None:
    """The reply says what Ollama's own /v1/responses says."""
    recorded = case[2]
    theirs = json.loads(recorded.body)
    native: dict[str, Any] = {"content": ""}
    for item in theirs["output"]:
        match item:
            case {"type": "reasoning", "summary": [{"text": text}]}:
                native["thinking"] = text
            case {"type": "message", "content": [{"text": text}]}:
                native["content"] = text
            case {"type": "function_call", "call_id": name, "arguments": arguments}:
                function = {"name": item["name"], "arguments": json.loads(arguments)}
                native["tool_calls"] = [{"id": name, "function": function}]
    counts = {"prompt_eval_count": theirs["usage"]["input_tokens"], "eval_count": theirs["usage"]["output_tokens"]}
    ours = json.loads(answered(play, native, {**counts, "model": theirs["model"]}, **recorded.request).to_json())
    for one in (theirs, ours):
        for name in OURS:
            one.pop(name, None)
        for item in one["output"]:
            item.pop("id")
            item.pop("encrypted_content", None)
    ours["usage"]["input_tokens_details"].pop("cache_write_tokens")
    assert {name: ours[name] for name in theirs} == theirs


# --- servers that speak /v1 ------------------------------------------------------------------------------------------

VLLM = {"provider": "openai", "host": None, "base_url": "http://vllm.test/v1", "dialect": "vllm"}


class V1:
    """A /v1 server that knows chat."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.paths: list[str] = []

    def __call__(self, request: Any) -> Any:
        self.paths.append(request.url.path)
        self.asked.append(json.loads(request.content or "{}"))
        said = {"role": "assistant", "content": f"reply {len(self.asked)}"}
        choice = {"index": 0, "message": said, "finish_reason": "stop"}
        body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
        return HTTPX.Response(200, json={**body, "output": []})


def two_turns(client: Any) -> Any:
    first = yield client.responses.create(model="m", input="Hello", instructions="Be brief.")
    second = yield client.responses.create(model="m", input="And?", previous_response_id=first.id)
    return first, second


@pytest.mark.parametrize("dialect", ["vllm", "llamacpp", "lmstudio", "ollama"])
def test_v1_servers_remember(dialect: str, play: Play) -> None:
    """VLLM forgets a previous response in silence, llama.cpp refuses it. Here the whole history is sent."""
    server = V1()
    _, second = on(play, server, two_turns, **{**VLLM, "dialect": dialect})
    assert second.output_text == "reply 2"
    assert server.paths == ["/v1/chat/completions"] * 2
    assert server.asked[1]["messages"] == [
        message("user", "Hello"),
        message("assistant", "reply 1"),
        message("user", "And?"),
    ]


def test_openai_stays_openai(play: Play) -> None:
    """At OpenAI the call is untouched, with aliases too."""
    server = V1()

    def script(client: Any) -> Any:
        yield client.responses.create(model="small", input="Hello", previous_response_id="resp_1", background=True)
        yield client.responses.retrieve("resp_1")

    on(play, server, script, provider="openai", host=None, api_key="k", models={"small": "gpt-x"})
    assert server.paths == ["/v1/responses", "/v1/responses/resp_1"]
    expected = {"model": "gpt-x", "input": "Hello", "previous_response_id": "resp_1", "background": True}
    assert server.asked[0] == expected


# --- live ------------------------------------------------------------------------------------------------------------

EMBEDDED = Settings(provider="embedded")
GREEDY: dict[str, Any] = {"model": "tiny", "temperature": 0}


def test_live(play: Play) -> None:
    """llama.cpp in this process: text, then a question about it that only makes sense with what went before."""
    pytest.importorskip("xllamacpp")

    def script(client: Any) -> Any:
        first = yield client.responses.create(**GREEDY, input="What is the capital of France?")
        kept = yield client.responses.retrieve(first.id)
        second = yield client.responses.create(**GREEDY, input="Hello", previous_response_id=first.id)
        return first, kept, second

    first, kept, second = play(script, settings=EMBEDDED)
    assert first.output_text == kept.output_text == "The capital of France is Paris."
    assert second.usage.input_tokens > first.usage.input_tokens


def test_live_tools(play: Play) -> None:
    """Two calls, their results, an answer: the model's history is in the store."""
    pytest.importorskip("xllamacpp")

    def script(client: Any) -> Any:
        question = {**GREEDY, "tools": [WEATHER]}
        first = yield client.responses.create(**question, input="What is the weather in Paris and Rome?")
        results = [
            {"type": "function_call_output", "call_id": item.call_id, "output": "18 degrees and sunny"}
            for item in first.output
        ]
        second = yield client.responses.create(**question, input=results, previous_response_id=first.id)
        return first, second

    first, second = play(script, settings=EMBEDDED)
    assert [json.loads(item.arguments) for item in first.output] == [{"city": "Paris"}, {"city": "Rome"}]
    assert "18 degrees" in second.output_text


def test_live_parse(play: Play) -> None:
    pytest.importorskip("xllamacpp")

    def script(client: Any) -> Any:
        prompt = "Return JSON for a person named Ana aged 30."
        return (yield client.responses.parse(**GREEDY, input=prompt, text_format=Person))

    assert play(script, settings=EMBEDDED).output_parsed == Person(name="Ana", age=30)


def test_messages_need_something() -> None:
    with pytest.raises(Rejected, match="`input` is required"):
        messages(call(), "Be brief.", [])
