"""Servers that speak /v1: what each would leave out in silence is given by other requests, or refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
import respx
from conftest import HI, Server
from drivers import SYNC_AND_ASYNC, Play, every, mode, said
from openai.lib.streaming.chat import ChatCompletionStreamState
from recorded import exchanges

from llm_adapter import AdapterWarning, Settings
from llm_adapter.providers.v1.dialects import DIALECTS

ROOT = "http://box.test/v1"
CHAT, TEXT = "/chat/completions", "/completions"
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
NAMED: Any = {"type": "function", "function": {"name": "get_weather"}}
CALLED = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
MADE = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
PERSON = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
FORM: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON}}
LOCAL = ["ollama", "llamacpp", "vllm", "lmstudio"]
local = pytest.mark.parametrize("dialect", LOCAL)
one_by_one = pytest.mark.parametrize("dialect", ["ollama", "llamacpp", "lmstudio"])


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def play(request: pytest.FixtureRequest) -> Play:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def server() -> Iterator[Server]:
    with respx.mock(assert_all_called=False) as router:
        yield Server(router, ROOT)


def chat(content: Any = "Hi", reason: str = "stop", **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": content, **message}
    choice = {"index": 0, "message": said, "finish_reason": reason}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": USAGE,
    }


def chunks(*deltas: Any, reason: str = "stop", usage: bool = False) -> str:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    made: list[Any] = [{**head, "choices": [{"index": 0, "delta": one, "finish_reason": None}]} for one in deltas]
    made.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    made += [{**head, "choices": [], "usage": USAGE}] if usage else []
    return "".join(f"data: {json.dumps(one)}\n\n" for one in made) + "data: [DONE]\n\n"


def ask(play: Play, dialect: Any, *, stream: bool = False, settings: Any = None, **arguments: Any) -> Any:
    arguments = {"model": "m", "messages": HI, **({"stream": True} if stream else {}), **arguments}

    def script(client: Any) -> Any:
        got = yield client.chat.completions.create(**arguments)
        return (yield every(got)) if stream else got

    return play(script, settings=Settings(base_url=ROOT, dialect=dialect, **(settings or {})))


def sent(server: Server) -> list[Any]:
    return [json.loads(one.content) for one in server._calls]


# --- the policy -------------------------------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Any, list[str]]] = {
    "verbosity": ("low", LOCAL),
    "audio": ({"voice": "alloy", "format": "wav"}, LOCAL),
    "modalities": (["text", "audio"], LOCAL),
    "web_search_options": ({}, LOCAL),
    "logit_bias": ({"1": 5}, ["ollama"]),
}
EACH = [(name, value, dialect) for name, (value, dialects) in REFUSED.items() for dialect in dialects]


@pytest.mark.parametrize(("name", "value", "dialect"), EACH, ids=str)
def test_refused_by_name(name: str, value: Any, dialect: str, play: Play, server: Server) -> None:
    """What the server would leave out, and what changes the answer, is refused before anything is sent."""
    with pytest.raises(openai.BadRequestError) as caught:
        ask(play, dialect, **{name: value})
    assert f"`{name}` is not available on dialect '{dialect}'" in said(caught.value)
    assert (caught.value.param, caught.value.code, server.count) == (name, "unsupported_parameter", 0)


def test_policy(play: Play, server: Server) -> None:
    """`warn` says it and leaves it out; it is on the reply."""
    server.answer(CHAT, body=chat())
    with pytest.warns(AdapterWarning, match="`verbosity`"):
        reply = ask(play, "vllm", settings={"unsupported": "warn"}, verbosity="low")
    assert ("verbosity" in server.sent, reply.adapter.left_out) == (False, ["verbosity"])


@local
def test_labels_and_a_servers_own_options_pass(dialect: str, play: Play, server: Server) -> None:
    """A label changes nothing, and servers have options of their own."""
    own = {"ollama": "reasoning", "llamacpp": "mirostat", "vllm": "min_tokens", "lmstudio": "ttl"}[dialect]
    server.answer(CHAT, body=chat())
    reply = ask(play, dialect, user="u", modalities=["text"], extra_body={own: 2})
    assert server.sent == {"model": "m", "messages": HI, "user": "u", own: 2}
    assert (reply.adapter.ignored, reply.adapter.left_out, reply.adapter.unknown) == (["user"], None, None)


EFFORTS = {
    "ollama": {"minimal": "low", "xhigh": "max", "none": "none", "high": "high"},
    "lmstudio": {"minimal": "low", "xhigh": "high", "max": "high"},
    "vllm": {"minimal": "minimal", "max": "max"},
}


@pytest.mark.parametrize("dialect", EFFORTS)
def test_efforts_in_the_servers_words(dialect: str, play: Play, server: Server) -> None:
    """Ollama 0.24 refuses minimal and xhigh; LM Studio knows nothing above high."""
    server.answer(CHAT, body=chat())
    for ours, theirs in EFFORTS[dialect].items():
        ask(play, dialect, reasoning_effort=ours)
        assert server.sent["reasoning_effort"] == theirs


def test_effort_on_llamacpp(play: Play, server: Server) -> None:
    """llama.cpp reads the parameter nowhere: its templates do. What the caller tells them stays."""
    server.answer(CHAT, body=chat())
    ask(play, "llamacpp", reasoning_effort="none", extra_body={"chat_template_kwargs": {"x": 1}})
    assert server.sent["chat_template_kwargs"] == {"enable_thinking": False, "x": 1}
    reply = ask(play, "llamacpp", reasoning_effort="high")
    assert (server.sent["chat_template_kwargs"], "reasoning_effort" in server.sent) == (
        {"reasoning_effort": "high"},
        False,
    )
    assert reply.adapter.emulated == ["reasoning_effort"]


def test_effort_on_a_model_that_cannot_think(play: Play, server: Server) -> None:
    """Ollama refuses it; the policy has the call made without."""
    refusal = {"error": {"message": '"m" does not support thinking', "type": "invalid_request_error"}}
    answers = [httpx.Response(400, json=refusal), httpx.Response(200, json=chat())]
    server.answer(CHAT).mock(side_effect=answers)
    with pytest.warns(AdapterWarning, match="thinking"):
        ask(play, "ollama", settings={"unsupported": "warn"}, reasoning_effort="high")
    assert "reasoning_effort" not in server.sent


def test_one_limit_with_two_values(play: Play, server: Server) -> None:
    """`max_tokens` and `max_completion_tokens` that differ are refused."""
    with pytest.raises(openai.BadRequestError, match="differ"):
        ask(play, "ollama", max_tokens=1, max_completion_tokens=2)


# --- tools ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("choice", "reason"), [("required", "tool_calls"), (NAMED, "stop")], ids=["required", "named"])
def test_a_demanded_call_on_ollama(choice: Any, reason: str, stream: bool, play: Play, server: Server) -> None:
    """Ollama's /v1 ignores `tool_choice` (recordings: tools_choice_none): constrained, as on its native API."""
    server.answer(CHAT, body=chat(CALLED))
    got = ask(play, "ollama", stream=stream, tools=[WEATHER], tool_choice=choice)
    body = server.sent
    assert body["response_format"]["json_schema"]["schema"]["properties"]["name"]["enum"] == ["get_weather"]
    assert (body["reasoning_effort"], body.get("stream", False)) == ("none", False)
    last = got[-1] if stream else got
    assert (last.choices[0].finish_reason, last.adapter.emulated) == (reason, ["tool_choice"])
    part = got[0].choices[0].delta if stream else got.choices[0].message
    assert [one.function.arguments for one in part.tool_calls] == ['{"city":"Paris"}']


@pytest.mark.parametrize("stream", [False, True])
@local
def test_a_demanded_call_that_does_not_come(dialect: str, stream: bool, play: Play, server: Server) -> None:
    """Prose is no tool call, whatever the server promised: asked once more, and then an error."""
    streamed = stream and dialect != "ollama"
    server.answer(CHAT, body=chunks({"content": "Sunny."}) if streamed else chat("Sunny."))
    with pytest.raises(openai.APIError, match="did not call a tool"):
        ask(play, dialect, stream=stream, tools=[WEATHER], tool_choice="required")
    assert server.count == (1 if streamed else 2)


@local
def test_none_calls_nothing(dialect: str, play: Play, server: Server) -> None:
    """With `tool_choice="none"` the server is shown no tool."""
    server.answer(CHAT, body=chat("Sunny."))
    ask(play, dialect, tools=[WEATHER], tool_choice="none")
    assert ("tools" in server.sent, server.sent.get("tool_choice")) == (
        (True, "none") if dialect == "vllm" else (False, None)
    )


@local
def test_strict_arguments_are_checked(dialect: str, play: Play, server: Server) -> None:
    """A call that breaks its strict schema is answered with what is wrong, then an error."""
    wrong = {**MADE, "function": {"name": "get_weather", "arguments": "{}"}}
    server.answer(CHAT, body=chat(None, "tool_calls", tool_calls=[wrong]))
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
    with pytest.raises(openai.UnprocessableEntityError, match="'city' is a required property"):
        ask(play, dialect, tools=[strict])
    assert [one["role"] for one in server.sent["messages"]] == ["user", "assistant", "tool"]
    assert (server.count, server.sent["messages"][-1]["tool_call_id"]) == (2, "c1")


@pytest.mark.parametrize("dialect", ["llamacpp", "vllm"])
def test_strict_arguments_of_a_stream(dialect: str, play: Play, server: Server) -> None:
    """A stream cannot be sent back: it does not end as if it were right."""
    wrong = {"index": 0, "id": "c1", "function": {"name": "get_weather", "arguments": "{}"}}
    server.answer(CHAT, body=chunks({"tool_calls": [wrong]}, reason="tool_calls"))
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
    with pytest.raises(openai.APIError, match="'city' is a required property"):
        ask(play, dialect, stream=True, tools=[strict])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("text", "count"), [(CALLED, 1), (f"```json\n{CALLED}\n```", 1), (f"So: {CALLED}", 0)])
@local
def test_calls_that_come_as_text(dialect: str, text: str, count: int, stream: bool, play: Play, server: Server) -> None:
    """LM Studio documents it, and templates without a parser do it anywhere."""
    server.answer(CHAT, body=chunks(*({"content": letter} for letter in text)) if stream else chat(text))
    got = ask(play, dialect, stream=stream, tools=[WEATHER])
    parts = [c.delta for one in got for c in one.choices] if stream else [got.choices[0].message]
    assert sum(len(part.tool_calls or ()) for part in parts) == count
    assert "".join(part.content or "" for part in parts) == ("" if count else text)
    last = got[-1] if stream else got
    assert last.choices[0].finish_reason == ("tool_calls" if count else "stop")
    assert (last.adapter.changed == ["tool_calls"]) == bool(count)


@pytest.mark.parametrize("stream", [False, True])
@local
def test_functions_before_tools(dialect: str, stream: bool, play: Play, server: Server) -> None:
    """No local server knows the form before `tools`: it goes in as tools and comes out in its own form."""
    delta = {"tool_calls": [{"index": 0, **MADE}]}
    server.answer(CHAT, body=chunks(delta) if stream else chat(None, "tool_calls", tool_calls=[MADE]))
    history = [
        *HI,
        {"role": "assistant", "content": None, "function_call": {"name": "get_weather", "arguments": ""}},
        {"role": "function", "name": "get_weather", "content": "sunny"},
    ]
    got = ask(play, dialect, stream=stream, functions=[WEATHER["function"]], messages=history)
    part = got[0].choices[0].delta if stream else got.choices[0].message
    assert (part.function_call.name, part.tool_calls) == ("get_weather", None)
    assert (got[-1] if stream else got).choices[0].finish_reason == "function_call"
    body = server.sent
    assert ("functions" in body, body["tools"][0]["function"]["name"]) == (False, "get_weather")
    assert body["messages"][1]["tool_calls"][0]["id"] == body["messages"][2]["tool_call_id"]


def test_schemas_reach_a_model_whole_on_ollama(play: Play, server: Server) -> None:
    """Ollama's /v1 drops of a tool's schema what its native API drops; others take all of it (ollama-wire §1a)."""
    parameters = {
        "type": "object",
        "properties": {"n": {"$ref": "#/$defs/N"}},
        "$defs": {"N": {"type": "integer", "minimum": 1}},
    }
    tool: Any = {"type": "function", "function": {"name": "f", "parameters": parameters}}
    server.answer(CHAT, body=chat())
    ask(play, "ollama", tools=[tool])
    assert server.sent["tools"][0]["function"]["parameters"]["properties"]["n"] == {
        "type": "integer",
        "description": "(minimum: 1)",
    }
    ask(play, "llamacpp", tools=[tool])
    assert server.sent["tools"] == [tool]


@local
def test_custom_tools_are_refused(dialect: str, play: Play, server: Server) -> None:
    with pytest.raises(openai.BadRequestError, match=f"'custom' is not available on dialect '{dialect}'"):
        ask(play, dialect, tools=[{"type": "custom", "custom": {"name": "x"}}])


# --- structured output -------------------------------------------------------------------------------------------


@local
def test_a_reply_that_does_not_fit_is_sent_back_once(dialect: str, play: Play, server: Server) -> None:
    """A server that accepts a schema and ignores it gets one turn to correct itself."""
    answers = [httpx.Response(200, json=chat("{}")), httpx.Response(200, json=chat('{"age": 3}'))]
    server.answer(CHAT).mock(side_effect=answers)
    reply = ask(play, dialect, response_format=FORM)
    assert reply.choices[0].message.content == '{"age": 3}'
    assert reply.adapter.structured_output == {"enforced": False, "validated": True, "repaired": True}
    assert "'age' is a required property" in server.sent["messages"][-1]["content"]
    server.answer(CHAT, body=chat("{}"))
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        ask(play, dialect, response_format=FORM)
    body: Any = caught.value.body
    assert (body["code"], body["raw"]) == ("structured_output_invalid", "{}")


@local
def test_a_stream_is_checked_at_its_end(dialect: str, play: Play, server: Server) -> None:
    """Text that breaks the schema ends its stream with an error."""
    server.answer(CHAT, body=chunks({"content": '{"age": '}, {"content": "3}"}))
    assert ask(play, dialect, stream=True, response_format=FORM)[-1].adapter.structured_output["validated"] is True
    server.answer(CHAT, body=chunks({"content": "{}"}))
    with pytest.raises(openai.APIError, match="'age' is a required property"):
        ask(play, dialect, stream=True, response_format=FORM)


def test_json_object_on_lm_studio(play: Play, server: Server) -> None:
    """LM Studio answers it with 400: the schema of any object says the same."""
    server.answer(CHAT, body=chat("{}"))
    ask(play, "lmstudio", response_format={"type": "json_object"})
    assert server.sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": {"type": "object"}},
    }
    ask(play, "vllm", response_format={"type": "json_object"})
    assert server.sent["response_format"] == {"type": "json_object"}


def test_a_pattern_that_no_grammar_holds(play: Play, server: Server) -> None:
    """llama.cpp answers an unanchored pattern with an error: it is checked here; vLLM holds it."""
    schema = {"type": "object", "properties": {"x": {"type": "string", "pattern": "A"}}}
    form: Any = {"type": "json_schema", "json_schema": {"name": "p", "strict": True, "schema": schema}}
    server.answer(CHAT, body=chat('{"x": "A"}'))
    ask(play, "llamacpp", response_format=form)
    given = server.sent["response_format"]["json_schema"]
    told = {"type": "object", "properties": {"x": {"type": "string", "description": "(pattern: A)"}}}
    assert given == {"name": "p", "strict": True, "schema": told}
    ask(play, "vllm", response_format=form)
    assert server.sent["response_format"] == form


def test_a_form_of_the_servers_own(play: Play, server: Server) -> None:
    server.answer(CHAT, body=chat("x"))
    ask(play, "vllm", response_format={"type": "structural_tag", "format": {}})
    assert server.sent["response_format"] == {"type": "structural_tag", "format": {}}


# --- several choices --------------------------------------------------------------------------------------------------


def counting(server: Server, path: str, answer: Callable[[Any], Any]) -> None:
    server.answer(path).mock(side_effect=lambda request: answer(json.loads(request.content)))


@one_by_one
def test_n_choices(dialect: str, play: Play, server: Server) -> None:
    """As many requests, side by side: seeds counted up, the prompt counted once."""
    counting(server, CHAT, lambda body: httpx.Response(200, json=chat(str(body["seed"]))))
    reply = ask(play, dialect, n=3, seed=7)
    assert [(one.index, one.message.content) for one in reply.choices] == [(0, "7"), (1, "8"), (2, "9")]
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (3, 6, 9)
    assert reply.adapter.emulated == ["n"]
    assert all("n" not in body for body in sent(server))


@one_by_one
def test_n_streamed(dialect: str, play: Play, server: Server) -> None:
    """One completion: one id, every choice whole, one usage, one end, and the SDK's accumulator takes it."""

    def answer(body: Any) -> httpx.Response:
        content = chunks({"role": "assistant", "content": ""}, {"content": str(body["seed"])}, usage=True)
        return httpx.Response(200, content=content.replace("chatcmpl-1", f"chatcmpl-{body['seed']}"))

    counting(server, CHAT, answer)
    got = ask(play, dialect, stream=True, n=2, seed=7, stream_options={"include_usage": True})
    state = ChatCompletionStreamState()
    for one in got:
        state.handle_chunk(one)
    whole = state.get_final_completion()
    assert [(one.index, one.message.content, one.finish_reason) for one in whole.choices] == [
        (0, "7", "stop"),
        (1, "8", "stop"),
    ]
    assert {one.id for one in got} == {"chatcmpl-7"}
    assert [one.usage.total_tokens for one in got if one.usage] == [7]
    assert got[-1].adapter.emulated == ["n"]


@one_by_one
def test_one_of_several_breaks_off(dialect: str, play: Play, server: Server) -> None:
    """Half a reply is none."""
    whole = chunks({"content": "x"})
    bodies = iter([whole, whole.partition('data: {"id"')[0] + whole.split("\n\n")[0] + "\n\n"])
    server.answer(CHAT).mock(side_effect=lambda request: httpx.Response(200, content=next(bodies)))
    with pytest.raises(openai.APIError, match="ended before"):
        ask(play, dialect, stream=True, n=2)


def test_vllm_counts_itself(play: Play, server: Server) -> None:
    """... but for replies that may have to be sent back."""
    two = {**chat(), "choices": [{**chat()["choices"][0], "index": place} for place in (0, 1)]}
    server.answer(CHAT, body=two)
    assert (len(ask(play, "vllm", n=2).choices), server.sent["n"]) == (2, 2)
    server.answer(CHAT, body=chat('{"age": 3}'))
    assert len(ask(play, "vllm", n=2, response_format=FORM).choices) == 2
    assert "n" not in server.sent


def test_ids_of_several_choices_differ(play: Play, server: Server) -> None:
    """Calls that come without an id get one, and no two the same."""
    server.answer(CHAT, body=chat(None, "tool_calls", tool_calls=[{"function": MADE["function"]}]))
    reply = ask(play, "llamacpp", n=2, tools=[WEATHER])
    assert len({one.message.tool_calls[0].id for one in reply.choices}) == 2


# --- messages ---------------------------------------------------------------------------------------------------------


def test_content_is_not_taken_apart(play: Play, server: Server) -> None:
    """Ollama's /v1 makes a message of every part."""
    server.answer(CHAT, body=chat())
    texts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    made = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    history = [
        {"role": "user", "content": texts},
        {"role": "assistant", "content": None, "tool_calls": [made]},
        {"role": "tool", "tool_call_id": "c", "content": texts},
        {"role": "assistant", "content": None},
    ]
    ask(play, "ollama", messages=history)
    user, assistant, tool, empty = server.sent["messages"]
    assert (user["content"], tool["content"], tool["tool_call_id"]) == ("a\nb", "a\nb", "c")
    assert (assistant["tool_calls"], empty["content"]) == ([made], "")
    ask(play, "vllm", messages=history)
    assert server.sent["messages"] == history


@pytest.mark.parametrize(("dialect", "refused"), [("ollama", True), ("lmstudio", True), ("llamacpp", False)])
def test_images_by_their_address(dialect: str, refused: bool, play: Play, server: Server) -> None:
    """Servers that do not fetch get the image itself, or nothing at all."""
    server.answer(CHAT, body=chat())
    server._router.post("http://box.test/api/show").respond(404, content="404 page not found")
    url = "http://127.0.0.1:9/x.png"
    messages: Any = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}]
    if refused:
        with pytest.raises(openai.BadRequestError) as caught:
            ask(play, dialect, messages=messages)
        assert (caught.value.param, server.count) == ("messages", 0)
        return
    ask(play, dialect, messages=messages)
    assert server.sent["messages"] == messages


# --- completions and embeddings ---------------------------------------------------------------------------------------


def text(content: str = "x", logs: Any = None) -> dict[str, Any]:
    choice = {"index": 0, "text": content, "logprobs": logs, "finish_reason": "stop"}
    return {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [choice],
        "usage": USAGE,
    }


def complete(play: Play, dialect: Any, *, stream: bool = False, settings: Any = None, **arguments: Any) -> Any:
    def script(client: Any) -> Any:
        got = yield client.completions.create(model="m", stream=stream, **arguments)
        return (yield every(got)) if stream else got

    return play(script, settings=Settings(base_url=ROOT, dialect=dialect, **(settings or {})))


@one_by_one
def test_prompt_lists(dialect: str, play: Play, server: Server) -> None:
    """Ollama's /v1 takes one prompt, llama.cpp counts the first alone: prompt by prompt, every one counted."""
    counting(server, TEXT, lambda body: httpx.Response(200, json=text(body["prompt"])))
    reply = complete(play, dialect, prompt=["a", "b"], n=2, echo=True)
    assert [(one.index, one.text) for one in reply.choices] == [(0, "aa"), (1, "aa"), (2, "bb"), (3, "bb")]
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (6, 8)
    assert set(reply.adapter.emulated) == {"prompt", "n", "echo"}


@one_by_one
def test_prompt_lists_streamed(dialect: str, play: Play, server: Server) -> None:
    def answer(body: Any) -> httpx.Response:
        parts = [{**text(letter), "usage": None} for letter in (body["prompt"], "!")]
        parts[0]["choices"][0]["finish_reason"] = None
        events = [*parts, {**text(), "choices": []}]
        return httpx.Response(
            200, content="".join(f"data: {json.dumps(one)}\n\n" for one in events) + "data: [DONE]\n\n"
        )

    counting(server, TEXT, answer)
    asked: Any = {"prompt": ["a", "b"], "echo": True, "stream_options": {"include_usage": True}}
    got = complete(play, dialect, stream=True, **asked)
    texts = ["".join(c.text for one in got for c in one.choices if c.index == place) for place in (0, 1)]
    assert texts == ["aa!", "bb!"]
    assert [one.usage.total_tokens for one in got if one.usage] == [10]


@pytest.mark.parametrize("dialect", ["llamacpp", "vllm"])
def test_best_of(dialect: str, play: Play, server: Server) -> None:
    """The likeliest text wins. llama.cpp gives chat's form of logprobs, which is brought into this one's."""

    def answer(body: Any) -> httpx.Response:
        name = str(body["seed"])
        logs: Any = {"tokens": [name], "token_logprobs": [-float(name)], "top_logprobs": [{}], "text_offset": [0]}
        if dialect == "llamacpp":
            logs = {"content": [{"token": name, "logprob": -float(name), "bytes": [], "top_logprobs": []}]}
        return httpx.Response(200, json=text(name, logs))

    counting(server, TEXT, answer)
    reply = complete(play, dialect, prompt="a", best_of=3, seed=7)
    assert ([one.text for one in reply.choices], reply.choices[0].logprobs) == (["7"], None)
    assert reply.usage.completion_tokens == 6
    reply = complete(play, dialect, prompt="a", seed=7, logprobs=1)
    assert (reply.choices[0].logprobs.tokens, reply.choices[0].logprobs.token_logprobs) == (["7"], [-7.0])


@pytest.mark.parametrize(
    ("dialect", "name", "value"),
    [
        ("ollama", "logprobs", 1),
        ("ollama", "best_of", 2),
        ("ollama", "logit_bias", {"1": 1}),
        ("llamacpp", "suffix", "x"),
        ("vllm", "suffix", "x"),
        ("lmstudio", "best_of", 2),
    ],
)
def test_refused_for_texts(dialect: str, name: str, value: Any, play: Play, server: Server) -> None:
    with pytest.raises(openai.BadRequestError, match=f"`{name}`") as caught:
        complete(play, dialect, prompt="a", **{name: value})
    assert (caught.value.param, server.count) == (name, 0)


def test_vllm_takes_lists_itself(play: Play, server: Server) -> None:
    two = {**text(), "choices": [{**text()["choices"][0], "index": place} for place in (0, 1)]}
    server.answer(TEXT, body=two)
    assert len(complete(play, "vllm", prompt=["a", "b"], echo=True).choices) == 2
    assert (server.sent["prompt"], server.sent["echo"]) == (["a", "b"], True)


@pytest.mark.parametrize("dialect", ["ollama", "lmstudio"])
def test_token_ids_are_refused(dialect: str, play: Play, server: Server) -> None:
    """They are another model's; servers that take ids take them for their own."""
    with pytest.raises(openai.BadRequestError, match="check_embedding_ctx_length"):
        play(embedding(input=[[1, 2]]), settings=Settings(base_url=ROOT, dialect=dialect))
    with pytest.raises(openai.BadRequestError, match="token_encoding"):
        complete(play, dialect, prompt=[1, 2])


NAMES = {"e": True, "gpt-oss:20b": True, "text-embedding-nomic": True} | dict.fromkeys(
    ("text-embedding-3-small", "text-embedding-ada-002", "gpt-3.5-turbo-instruct"), False
)


@pytest.mark.parametrize("dialect", ["llamacpp", "vllm"])
@pytest.mark.parametrize("name", NAMES)
def test_token_ids_under_a_name_of_openais(dialect: Any, name: str, play: Play, server: Server) -> None:
    """They are of OpenAI's vocabularies, though the profile says which model stands for it: none but the name tells."""
    one = {"object": "embedding", "index": 0, "embedding": [0.5]}
    server.answer("/embeddings", body={"object": "list", "model": "bge", "data": [one], "usage": USAGE})
    server.answer(TEXT, body=text())
    settings = Settings(base_url=ROOT, dialect=dialect, models={"*": "bge"})

    def completion(client: Any) -> Any:
        return (yield client.completions.create(model=name, prompt=[1, 2]))

    for script in (embedding(name, input=[1, 2]), completion):
        if NAMES[name]:
            play(script, settings=settings)
            assert [1, 2] in (server.sent.get("input"), server.sent.get("prompt"))
        else:
            with pytest.raises(openai.BadRequestError, match="the ids are another model's"):
                play(script, settings=settings)


def embedding(model: str = "e", **arguments: Any) -> Any:
    def script(client: Any) -> Any:
        return (yield client.embeddings.create(model=model, **arguments))

    return script


@pytest.mark.parametrize("form", ["float", "base64"])
@local
def test_dimensions_are_checked(dialect: str, form: Any, play: Play, server: Server) -> None:
    """llama.cpp ignores them, Ollama those beyond its own: found out here, not in the index."""
    vector: Any = "AAAAPwAAAD8=" if form == "base64" else [0.5, 0.5]
    one = {"object": "embedding", "index": 0, "embedding": vector}
    server.answer("/embeddings", body={"object": "list", "model": "e", "data": [one], "usage": USAGE})
    settings = Settings(base_url=ROOT, dialect=dialect)  # type: ignore[arg-type]
    got = play(embedding(input="x", dimensions=2, encoding_format=form), settings=settings)
    assert len(got.data) == 1
    with pytest.raises(openai.BadRequestError, match="2 dimensions, not 8") as caught:
        play(embedding(input="x", dimensions=8, encoding_format=form), settings=settings)
    assert caught.value.code == "embedding_dimensions_mismatch"


# --- recordings -------------------------------------------------------------------------------------------------------

RECORDED = ["chat", "chat_length", "chat_logprobs", "chat_multi_turn", "chat_stop", "chat_system", "think", "tools"]
SERVERS = ["ollama-0.24.0", "ollama-0.32.15"]


def recorded(recording: str, intent: str) -> Any:
    found = [one for one in exchanges(recording, intent, "v1") if one.path == "/v1/chat/completions"]
    return found[0]


@pytest.mark.parametrize("intent", [*RECORDED, "tools_two", "tools_result", "json_object", "json_schema"])
@pytest.mark.parametrize("recording", SERVERS)
@pytest.mark.filterwarnings("ignore::llm_adapter.AdapterWarning")
def test_what_a_real_ollama_answered(recording: str, intent: str, play: Play, server: Server) -> None:
    """The recorded request goes out as it was, and the recorded reply comes back as it was, ours added to it."""
    one = recorded(recording, intent)
    server.answer(CHAT, one.status, one.body)
    server._router.post("http://box.test/api/show").respond(json={"capabilities": ["completion", "tools"]})
    server._router.post("http://box.test/api/generate").respond(json={"done": True})
    server._router.get("http://box.test/api/ps").respond(json={"models": [{"model": "tiny", "context_length": 2048}]})
    reply = ask(play, "ollama", **one.request).to_dict()
    theirs = json.loads(one.body)
    assert server.sent["messages"] == one.request["messages"]
    assert server.sent.keys() == one.request.keys()
    for ours, choice in zip(reply["choices"], theirs["choices"], strict=True):
        assert (ours["message"].get("content") or "") == choice["message"]["content"]
        assert ours["finish_reason"] == choice["finish_reason"]
        calls, made = ours["message"].get("tool_calls") or [], choice["message"].get("tool_calls") or []
        assert [call["function"] for call in calls] == [call["function"] for call in made]
        assert ours["message"].get("reasoning_content") == choice["message"].get("reasoning")
    assert reply["usage"] == theirs["usage"]


@pytest.mark.parametrize(
    "intent", ["chat_stream", "think_stream", "tools_stream", "tools_two_stream", "json_schema_stream"]
)
@pytest.mark.parametrize("recording", SERVERS)
def test_what_a_real_ollama_streamed(recording: str, intent: str, play: Play, server: Server) -> None:
    """The SDK's accumulator is the judge: the same text and the same calls, each with a place of its own."""
    one = recorded(recording, intent)
    server.answer(CHAT, one.status, one.body)
    got = ask(play, "ollama", **{**one.request, "stream": True})
    lines = [line.removeprefix("data: ") for line in one.body.split("\n") if line.startswith("data: {")]
    theirs = [choice["delta"] for line in lines for choice in json.loads(line)["choices"]]
    state = ChatCompletionStreamState()
    for chunk in got:
        state.handle_chunk(chunk)
    message = state.get_final_completion().choices[0].message
    assert (message.content or "") == "".join(delta.get("content") or "" for delta in theirs)
    arguments = [call["function"]["arguments"] for delta in theirs for call in delta.get("tool_calls") or ()]
    assert [call.function.arguments for call in message.tool_calls or ()] == arguments
    assert any(getattr(chunk, "adapter", None) for chunk in got[-2:])


def test_a_reply_without_an_end(play: Play, server: Server) -> None:
    """Ollama 0.24 answers so when it stops a model that repeats itself."""
    body = chat("x x x")
    body["choices"][0]["finish_reason"] = None
    server.answer(CHAT, body=body)
    with pytest.raises(openai.InternalServerError, match="ended before"):
        ask(play, "ollama")


def test_a_form_without_an_end_is_asked_once_more(play: Play, server: Server) -> None:
    """What was demanded may come at the second attempt."""
    loop, good = chat('{"age":' + " " * 30), chat('{"age": 3}')
    loop["choices"][0]["finish_reason"] = None
    server.answer(CHAT).mock(side_effect=[httpx.Response(200, json=one) for one in (loop, good)])
    reply = ask(play, "ollama", response_format=FORM)
    assert reply.choices[0].message.content == '{"age": 3}'
    assert reply.adapter.structured_output == {"enforced": False, "validated": True, "repaired": True}


@local
def test_an_answer_that_is_none(dialect: str, play: Play, server: Server) -> None:
    server.answer(CHAT, body={"hello": 1})
    with pytest.raises(openai.InternalServerError, match=r"not a chat completion .at choices.: .*hello"):
        ask(play, dialect)


def test_every_dialect_has_its_rows() -> None:
    assert {name for name, dialect in DIALECTS.items() if dialect.rows} == set(LOCAL)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["llamacpp", "vllm", "lmstudio"])
def test_a_named_function_is_called_once(dialect: str, stream: bool, play: Play, server: Server) -> None:
    """llama.cpp calls it until the budget is gone: the first call is whole, and what follows is left out."""
    made = [{**MADE, "id": f"c{place}", "index": place} for place in range(3)]
    made[2] = {**made[2], "function": {"name": "get_weather", "arguments": '{"ci'}}
    body = chunks({"tool_calls": made}, reason="length") if stream else chat(None, "length", tool_calls=made)
    server.answer(CHAT, body=body)
    got = ask(play, dialect, stream=stream, tools=[WEATHER], tool_choice=NAMED)
    part = got[0].choices[0].delta if stream else got.choices[0].message
    assert [one.id for one in part.tool_calls] == ["c0"]
    assert (got[-1] if stream else got).choices[0].finish_reason == "stop"


@pytest.mark.parametrize("value", [0, 1000, "2", True])
@local
def test_wrong_counts(dialect: str, value: Any, play: Play, server: Server) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        ask(play, dialect, n=value)
    assert (caught.value.param, server.count) == ("n", 0)


@pytest.mark.parametrize("intent", ["completions", "completions_stream"])
@pytest.mark.parametrize("recording", SERVERS)
def test_texts_of_a_real_ollama(recording: str, intent: str, play: Play, server: Server) -> None:
    [one, *_] = [one for one in exchanges(recording, intent, "v1") if one.path == "/v1/completions"]
    server.answer(TEXT, one.status, one.body)
    arguments = {name: value for name, value in one.request.items() if name not in ("model", "stream")}
    got = complete(play, "ollama", stream=one.streamed, **arguments)
    replies = [line.removeprefix("data: ") for line in one.body.split("\n") if line.startswith("data: {")] or [one.body]
    theirs = [choice["text"] for reply in replies for choice in json.loads(reply)["choices"]]
    ours = [choice.text for reply in (got if one.streamed else [got]) for choice in reply.choices]
    assert "".join(ours) == "".join(theirs)


@pytest.mark.parametrize("recording", SERVERS)
def test_embeddings_of_a_real_ollama(recording: str, play: Play, server: Server) -> None:
    [one, *_] = [one for one in exchanges(recording, "embed", "v1") if one.path == "/v1/embeddings"]
    server.answer("/embeddings", one.status, one.body)
    settings = Settings(base_url=ROOT, dialect="ollama")
    got = play(embedding(input=one.request["input"], encoding_format="float"), settings=settings)
    theirs = json.loads(one.body)["data"]
    assert (len(got.data), server.sent["input"]) == (len(theirs), one.request["input"])
