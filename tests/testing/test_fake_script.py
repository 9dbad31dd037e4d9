"""Turns, the script, the log and the fixture: what users write in their own tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from llm_adapter import testing
from llm_adapter.testing import (
    PERSONAS,
    Fake,
    ServerRequest,
    ToolCall,
    Turn,
    answer,
    choices,
    disconnect,
    embedding,
    error,
    json_text,
    persona,
    reply,
    slow,
    text,
    thinking,
    tool_call,
    tool_calls,
)
from llm_adapter.testing.scripted import Scripted
from llm_adapter.testing.turns import Failure, pieces

CHAT = "/v1/chat/completions"
KEY = [("Authorization", "Bearer sk-secret-1234"), ("api-key", "secret-too"), ("X-Other", "seen")]


def ask(scripted: Scripted, content: str = "Hi", path: str = CHAT, **more: Any) -> tuple[int, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **more}
    found = scripted.answer("POST", path, KEY, json.dumps(body).encode())
    return found.status, json.loads(found.body)


def ask_at(scripted: Scripted, path: str, body: Any) -> Any:
    return json.loads(scripted.answer("POST", path, KEY, json.dumps(body).encode()).body)


def content(reply: Any) -> Any:
    return reply["choices"][0]["message"]["content"]


# --- turns -----------------------------------------------------------------------------------------------------------


@given(st.text())
def test_pieces_are_the_text(value: str) -> None:
    assert "".join(pieces(value)) == value


def test_turns_are_values() -> None:
    """They compare, compose, and change nothing."""
    paris = text("Paris", thinking="Hm.", usage=(3, 1))
    assert paris == text("Paris", thinking="Hm.", usage=(3, 1))
    assert thinking("Hm.", "Paris") == thinking("Hm.", text("Paris")) == text("Paris", thinking="Hm.")
    assert slow(1, disconnect(after=2, turn=paris)).cut == 2
    assert disconnect(after=2, turn=slow(1, paris)).pace.start == 1
    assert error(503, "busy", turn=paris).failure == Failure("busy", 503)
    assert tool_call("f", {"a": 1}) == tool_calls(("f", {"a": 1})) == tool_calls(ToolCall("f", {"a": 1}))
    assert tool_call("f", '{"a": 1').calls[0].text == '{"a": 1'
    assert json_text({"name": "Ana"}).content == '{"name": "Ana"}'
    assert embedding([1, 2]).vectors == embedding([[1, 2]]).vectors == ((1.0, 2.0),)


def test_a_tools_arguments_that_are_no_json() -> None:
    """As the model wrote them on /v1; natively Ollama has objects alone."""
    turn = tool_call("f", '{"a": ')
    v1 = answer(
        persona("openai"),
        ServerRequest("POST", CHAT, {"model": "m", "messages": [{"role": "user", "content": "x"}]}),
        turn,
    )
    assert json.loads(v1.body)["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"a": '


RECORDED: list[Turn] = [
    text("Hello", usage=(3, 1)),
    text("Hel", finish="length", usage=(3, 1)),
    tool_calls(ToolCall("f", '{"a": 1}', "c1"), ToolCall("g", "{}", "c2"), content="So:"),
    choices(text("one", usage=(3, 2)), text("two")),
]


@pytest.mark.parametrize("name", ["openai", "vllm", "llamacpp"])
@pytest.mark.parametrize("turn", RECORDED, ids=range(len(RECORDED)))
def test_a_recorded_reply_is_a_turn(name: str, turn: Turn) -> None:
    """Replayed on the same server, it is the same reply."""
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "n": 1 + len(turn.more)}
    asked = ServerRequest("POST", CHAT, body)
    first = json.loads(answer(persona(name), asked, turn).body)
    assert json.loads(answer(persona(name), asked, reply(first)).body) == first


def test_replies_of_other_kinds() -> None:
    vectors = {
        "object": "list",
        "data": [{"embedding": [1, 2]}, {"embedding": "AACAPwAAAEA="}],
        "usage": {"prompt_tokens": 4},
    }
    assert reply(vectors).vectors == ((1.0, 2.0), (1.0, 2.0))
    said = {"object": "text_completion", "choices": [{"text": "a", "finish_reason": "length"}]}
    assert reply(said) == text("a", finish="length")
    wrong = {"error": {"message": "no", "type": "t", "param": "p", "code": "c"}}
    assert reply(wrong, 422).failure == Failure("no", 422, "c", "t", "p")
    assert reply({"error": {"message": "no", "code": 503}}).failure == Failure("no", 503)
    assert reply({"error": "no"}).failure == Failure("no", 400)
    with pytest.raises(ValueError, match="no turn makes this reply: 'batch'"):
        reply({"object": "batch"})


def test_a_recorded_response_is_a_turn() -> None:
    asked = ServerRequest("POST", "/v1/responses", {"model": "m", "input": "x"})
    turn = Turn("Hello", "Hm.", (ToolCall("f", "{}", "c1"),), usage=testing.Usage(3, 2))
    first = json.loads(answer(persona("vllm"), asked, turn).body)
    assert json.loads(answer(persona("vllm"), asked, reply(first)).body) == first


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "a list of turns": (lambda: Scripted().script(["a", "b"]), TypeError, r"given one by one, script\(\*turns\)"),  # type: ignore[arg-type]
    "a reply's JSON": (lambda: Scripted().script({"content": "x"}), TypeError, "a turn is a string, or what text"),  # type: ignore[arg-type]
    "a number": (lambda: text(5), TypeError, "text\\(\\) takes a string"),  # type: ignore[arg-type]
    "no seconds": (lambda: slow(text("x")), TypeError, "the seconds come first, and this is a Turn"),  # type: ignore[arg-type]
    "no error": (lambda: error(200, "fine"), ValueError, r"error\(200\) is none"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_turn(case: str) -> None:
    """It is said where the script is written, and not by a server that falls over it later."""
    write, kind, words = WRONG[case]
    with pytest.raises(kind, match=words):
        write()


def test_a_string_is_a_turn_everywhere() -> None:
    assert slow(1, "x") == slow(1, text("x"))
    assert disconnect(after=1, turn="x") == disconnect(after=1, turn=text("x"))
    assert error(500, "no", mid_stream=True, turn="x") == error(500, "no", mid_stream=True, turn=text("x"))
    assert choices("x", "y") == choices(text("x"), text("y"))


def test_a_turn_that_cannot_be_sent() -> None:
    """The caller is told, and so is the test."""
    scripted = Scripted()
    scripted.script(tool_call("f", {"a": object()}))
    status, body = ask(scripted)
    assert (status, body["error"]["code"]) == (400, "turn_failed")
    with pytest.raises(AssertionError, match="a matcher or a turn failed: TypeError"):
        scripted.assert_all_used()


def test_a_matcher_that_gives_no_turn() -> None:
    scripted = Scripted()
    scripted.on(lambda asked: 5)  # type: ignore[arg-type, return-value]
    assert "a turn is a string" in ask(scripted)[1]["error"]["message"]


def test_one_name_is_one_model() -> None:
    """And not one for each of its letters."""
    assert [model.name for model in Scripted(models="qwen3:8b").models or ()] == ["qwen3:8b"]
    assert Scripted("ollama@0.32", library="qwen3:8b").persona.library == {"qwen3:8b"}


LEFT: dict[str, tuple[Turn, str]] = {
    "text": (text("Hello"), "says 'Hello'"),
    "thought": (thinking("hm", "yes"), "thinks 'hm', says 'yes'"),
    "calls": (tool_call("f", {"a": 1}, content="so"), "says 'so', calls f({\"a\": 1})"),
    "error": (error(503, "busy"), "fails with 503 'busy'"),
    "late error": (error(500, "no", mid_stream=True, turn="a b"), "says 'a b', fails with 500 'no' after 1 piece"),
    "cut": (disconnect(after=2, turn="a b c"), "says 'a b c', is cut after 2 pieces"),
    "vectors": (embedding([1, 2]), "embeds as ((1.0, 2.0),)"),
    "nothing": (text(""), "says nothing"),
}


@pytest.mark.parametrize("case", LEFT)
def test_a_turn_that_is_left_is_shown_in_words(case: str) -> None:
    turn, words = LEFT[case]
    scripted = Scripted()
    scripted.script(turn)
    with pytest.raises(AssertionError) as caught:
        scripted.assert_all_used()
    assert str(caught.value) == f"1 scripted turn was not asked for:\n  {words}\nno request came"


# --- the script ------------------------------------------------------------------------------------------------------


def test_without_a_script() -> None:
    scripted = Scripted()
    assert [content(ask(scripted)[1]) for _ in range(2)] == ["Hello from the fake server."] * 2
    scripted.assert_all_used()


def test_turns_come_one_after_the_other() -> None:
    scripted = Scripted()
    scripted.script("one", text("two"))
    scripted.script("three")
    assert [content(ask(scripted)[1]) for _ in range(3)] == ["one", "two", "three"]
    scripted.assert_all_used()


def test_a_script_that_has_ended() -> None:
    """It says so, with a status that no client tries again."""
    scripted = Scripted()
    scripted.script("one")
    ask(scripted)
    status, body = ask(scripted)
    assert status == 400
    assert body["error"]["code"] == "script_ended"
    assert "the script has no turn left for POST /v1/chat/completions" in body["error"]["message"]
    with pytest.raises(AssertionError, match="1 call came when the script had ended"):
        scripted.assert_all_used()


EMBEDDINGS = ("/v1/embeddings", {"model": "m", "input": "x"})
CHATS = {
    "/v1/chat/completions": {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    "/v1/responses": {"model": "m", "input": "x"},
    "/api/chat": {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": False},
}
VECTORS = {
    path: {"model": "m", "input": "x", "prompt": "x"} for path in ("/v1/embeddings", "/api/embed", "/api/embeddings")
}
TEXTS = CHATS | {
    "/v1/completions": {"model": "m", "prompt": "x"},
    "/api/generate": {"model": "m", "prompt": "x", "stream": False},
}


def status_of(turn: Turn | str, path: str, body: Any) -> int:
    scripted = Scripted("ollama@0.32")
    scripted.script(turn)
    return scripted.answer("POST", path, KEY, json.dumps(body).encode()).status


@pytest.mark.parametrize("path", TEXTS | VECTORS)
def test_a_turn_answers_calls_of_its_kind(path: str) -> None:
    """A text, vectors and a tool's call answer no call of another kind; an error answers any."""
    body = (TEXTS | VECTORS)[path]
    assert status_of("Hello", path, body) == status_of(thinking("Hm"), path, body) == (200 if path in TEXTS else 400)
    assert status_of(tool_call("f"), path, body) == (200 if path in CHATS else 400)
    assert status_of(embedding(), path, body) == status_of(embedding([1, 2]), path, body)
    assert status_of(embedding(), path, body) == (200 if path in VECTORS else 400)
    assert status_of(error(503, "busy"), path, body) == 503
    assert status_of(slow(0), path, body) == 200


def test_each_kind_has_its_own_order() -> None:
    scripted = Scripted()
    scripted.script("one", embedding([1.0]), "two", embedding([2.0]))
    vectors = [ask_at(scripted, *EMBEDDINGS)["data"][0]["embedding"] for _ in range(2)]
    assert (vectors, [content(ask(scripted)[1]) for _ in range(2)]) == ([[1.0], [2.0]], ["one", "two"])
    scripted.assert_all_used()


def test_the_script_has_turns_of_other_kinds_alone() -> None:
    """The call and the test are told which; the turns stay for their own calls."""
    scripted = Scripted()
    scripted.script("one", repeat=True)
    told = ask_at(scripted, *EMBEDDINGS)["error"]["message"]
    assert told.endswith("what is left is for chats, responses and completions")
    assert content(ask(scripted)[1]) == "one"
    with pytest.raises(AssertionError, match="had ended for calls of their kind: what is left is for chats"):
        scripted.assert_sufficed()


def test_a_matcher_that_answers_with_another_kind() -> None:
    scripted = Scripted()
    scripted.on(lambda request: "Hello")
    assert "that is no answer to POST /v1/embeddings" in ask_at(scripted, *EMBEDDINGS)["error"]["message"]
    with pytest.raises(AssertionError, match="a matcher or a turn failed"):
        scripted.assert_sufficed()


def test_a_script_that_repeats_its_last_turn() -> None:
    scripted = Scripted()
    scripted.script("one", "two", repeat=True)
    assert [content(ask(scripted)[1]) for _ in range(4)] == ["one", "two", "two", "two"]
    scripted.assert_all_used()


def test_a_repeating_script_with_turns_left() -> None:
    scripted = Scripted()
    scripted.script("one", "two", "three", repeat=True)
    ask(scripted)
    with pytest.raises(AssertionError, match="scripted turns were not asked for"):
        scripted.assert_all_used()


def test_turns_that_are_left() -> None:
    scripted = Scripted()
    scripted.script("one", tool_call("f"))
    ask(scripted)
    with pytest.raises(AssertionError, match=r"1 scripted turn was not asked for:\n  calls f\(\{\}\)"):
        scripted.assert_all_used()


def test_matchers_come_first() -> None:
    scripted = Scripted()
    scripted.script("scripted")
    scripted.on(lambda asked: "weather!" if "weather" in asked.body["messages"][0]["content"] else None)

    @scripted.on
    def tools(asked: ServerRequest) -> Turn | None:
        return tool_call("f") if "tools" in asked.body else None

    assert content(ask(scripted, "the weather?")[1]) == "weather!"
    assert content(ask(scripted)[1]) == "scripted"
    offered = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
    assert ask(scripted, tools=offered)[1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_matcher_that_fails() -> None:
    """The caller is told, and so is the test: nothing hangs, nothing is lost."""
    scripted = Scripted()
    scripted.on(lambda asked: asked.body["nope"])
    status, body = ask(scripted)
    assert (status, body["error"]["message"]) == (400, "fake_llm: a matcher raised KeyError('nope')")
    with pytest.raises(AssertionError, match=r"a matcher or a turn failed: KeyError\('nope'\)"):
        scripted.assert_all_used()


def test_a_matcher_adds_to_the_script() -> None:
    scripted = Scripted()
    scripted.on(lambda asked: scripted.script("added"))
    assert content(ask(scripted)[1]) == "added"


def test_refusals_use_up_no_turn() -> None:
    scripted = Scripted(models=["here"])
    scripted.script("one")
    assert ask(scripted, model="nope")[0] == 404
    assert scripted.unused == (text("one"),)


def test_the_server_changes_under_way() -> None:
    scripted = Scripted(models=["m"])
    scripted.persona = "ollama@0.32"
    scripted.context = 50
    assert [model.name for model in scripted.models or ()] == ["m"]
    assert ask(scripted, "word " * 99)[1]["usage"]["prompt_tokens"] == 50
    scripted.models = None
    assert ask(scripted, model="any")[0] == 200
    assert scripted.context == 50


# --- the log ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def logged() -> Scripted:
    scripted = Scripted("ollama@0.32")
    for path, body in (
        ("/api/show", {"model": "m"}),
        ("/api/chat", {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "options": {"num_ctx": 4096}}),
    ):
        scripted.answer("POST", path, KEY, json.dumps(body).encode())
    return scripted


def test_what_is_logged(logged: Scripted) -> None:
    assert (logged.last.method, logged.last.path, logged.last.wire) == ("POST", "/api/chat", "ollama")
    assert logged.last.body["options"] == {"num_ctx": 4096}
    assert [asked.path for asked in logged.requests] == ["/api/show", "/api/chat"]
    assert [asked.path for asked in logged.calls] == ["/api/chat"]


def test_keys_are_not_kept(logged: Scripted) -> None:
    assert logged.last.headers == {"authorization": "Bearer ***", "api-key": "***", "x-other": "seen"}
    assert logged.last.authorized
    assert "secret" not in repr(vars(logged))


def test_assertions_that_hold(logged: Scripted) -> None:
    logged.assert_native_sent("options.num_ctx", 4096)
    logged.assert_native_sent("messages.0.content", "Hi")
    logged.assert_native_sent("messages.-1.role")
    logged.assert_native_not_sent("tools")
    logged.assert_native_called("/api/chat", times=1)
    logged.assert_native_called("/api/show")
    logged.assert_native_not_called("/api/generate")


CAME = '\nwhat came:\n  1. POST /api/show -> 200 {"model": "m"}\n  2. POST /api/chat -> 200 {"model": "m", '
FAILED: dict[str, tuple[Any, str]] = {
    "another value": (
        lambda log: log.assert_native_sent("options.num_ctx", 8192),
        "no request had `options.num_ctx` = 8192: it was 4096",
    ),
    "not at all": (lambda log: log.assert_native_sent("options.seed"), "no request had `options.seed`"),
    "beyond the list": (lambda log: log.assert_native_sent("messages.1"), "no request had `messages.1`"),
    "sent": (lambda log: log.assert_native_not_sent("messages"), "a request had `messages`: [{'role'"),
    "path": (
        lambda log: log.assert_native_called("/chat/completions"),
        "/chat/completions should have been asked, and was not\nwhat came",
    ),
    "never": (
        lambda log: log.assert_native_not_called("api/chat"),
        "/api/chat should not have been asked, and was once",
    ),
    "times": (
        lambda log: log.assert_native_called("/api/chat", times=2),
        "should have been asked 2 times, and was once",
    ),
}


@pytest.mark.parametrize("case", FAILED)
def test_assertions_that_fail(logged: Scripted, case: str) -> None:
    """They show what came instead."""
    check, words = FAILED[case]
    with pytest.raises(AssertionError) as caught:
        check(logged)
    assert words in str(caught.value)
    assert CAME in str(caught.value)


def test_a_long_log_is_shown_short() -> None:
    scripted = Scripted()
    for _ in range(30):
        ask(scripted, "word " * 200)
    with pytest.raises(AssertionError, match="the last 10 of 30 that came") as caught:
        scripted.assert_native_sent("tools")
    assert len(str(caught.value)) < 4500


def test_a_body_that_is_no_json_is_shown_as_it_came() -> None:
    scripted = Scripted("ollama@0.32")
    scripted.answer("POST", "/api/chat", (), b'{"model": ')
    assert (scripted.last.body, scripted.last.text) == (None, '{"model": ')
    with pytest.raises(AssertionError, match=r'1\. POST /api/chat -> 400 \{"model": '):
        scripted.assert_native_sent("model")


def test_a_long_value_is_shown_short(logged: Scripted) -> None:
    ask(logged, "word " * 5000, path="/v1/chat/completions")
    with pytest.raises(AssertionError) as caught:
        logged.assert_native_sent("messages.0.content", "x")
    assert len(str(caught.value)) < 1500


def test_nothing_came() -> None:
    with pytest.raises(AssertionError, match="no request came"):
        _ = Scripted().last


# --- the fixture -----------------------------------------------------------------------------------------------------


def plain(fake: Fake) -> openai.OpenAI:
    http = openai.DefaultHttpxClient(verify=False)
    return openai.OpenAI(base_url=fake.base_url, api_key="any", max_retries=0, http_client=http)


HI: list[Any] = [{"role": "user", "content": "Hello"}]


def test_fixture(fake_llm: Fake) -> None:
    """OpenAI, where the test does not say otherwise."""
    fake_llm.script("Hi!")
    with plain(fake_llm) as client:
        assert client.chat.completions.create(model="m", messages=HI).choices[0].message.content == "Hi!"
    assert fake_llm.persona.name == "openai"


@pytest.mark.fake_llm("ollama@0.32", models=["tiny"], context=64)
def test_marked(fake_llm: Fake) -> None:
    assert (fake_llm.persona.name, fake_llm.context) == ("ollama@0.32", 64)
    assert [model.name for model in fake_llm.models or ()] == ["tiny"]
    fake_llm.assert_not_called("/chat/completions")


@pytest.mark.fake_llm("openai", "vllm")
def test_on_each(fake_llm: Fake, request: pytest.FixtureRequest) -> None:
    assert fake_llm.persona.name in request.node.name
    fake_llm.assert_not_called("/chat/completions")


@pytest.fixture
def asking(fake_llm: Fake) -> Iterator[Any]:
    with fake_llm.client(http_client=openai.DefaultHttpxClient(verify=False), max_retries=0) as client:
        yield client


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.fake_llm(*PERSONAS)
def test_a_migration(fake_llm: Fake, asking: Any) -> None:
    """The same code and script on every server; a reply that breaks its schema is sent back once."""
    fake_llm.script("Ana is 30.", json_text({"name": "Ana", "age": 30}))
    found = (
        asking.chat.completions.parse(model="m", messages=HI, response_format=Person)
        if fake_llm.persona.name != "openai"
        else None
    )
    assert found is None or found.choices[0].message.parsed == Person(name="Ana", age=30)
    assert len(fake_llm.calls) == (0 if found is None else 2)


@pytest.mark.fake_llm("ollama@0.32")
def test_native_options(fake_llm: Fake, asking: Any) -> None:
    """They are sent, and the fake lets one see it."""
    with fake_llm.client(
        settings=fake_llm.settings(num_ctx=8192, keep_alive="24h"), http_client=openai.DefaultHttpxClient(verify=False)
    ) as client:
        client.chat.completions.create(model="m", messages=HI, max_completion_tokens=5)
    fake_llm.assert_native_sent("options.num_ctx", 8192)
    fake_llm.assert_native_sent("options.num_predict", 5)
    fake_llm.assert_native_sent("keep_alive", "24h")


@pytest.mark.fake_llm("ollama@0.24", "ollama@0.32", "openai", "llamacpp", "vllm", context=50)
def test_a_prompt_that_is_too_long(fake_llm: Fake, asking: Any) -> None:
    """One error for all."""
    with pytest.raises(openai.BadRequestError) as caught:
        asking.chat.completions.create(model="m", messages=[{"role": "user", "content": "word " * 200}])
    assert caught.value.code == "context_length_exceeded"


@pytest.mark.fake_llm("ollama@0.32", models=["other"], library=["qwen3:8b"])
def test_a_missing_model_is_pulled(fake_llm: Fake) -> None:
    """A model that is not there is pulled once, and one that no library has is an error."""
    http = openai.DefaultHttpxClient(verify=False)
    with fake_llm.client(settings=fake_llm.settings(pull="missing"), http_client=http) as client:
        client.chat.completions.create(model="qwen3:8b", messages=HI)
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="nope", messages=HI)
    fake_llm.assert_native_called("/api/pull", times=2)


@pytest.mark.fake_llm("vllm", "llamacpp", "lmstudio", "ollama@0.32")
def test_a_demanded_call_that_does_not_come(fake_llm: Fake, asking: Any) -> None:
    """Prose is never taken for a call."""
    fake_llm.script("It is sunny.", repeat=True)
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    with pytest.raises(openai.APIError):
        asking.chat.completions.create(model="m", messages=HI, tools=tools, tool_choice="required")


CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.mark.fake_llm("ollama@0.24", "ollama@0.32")
@pytest.mark.parametrize(
    ("scripted", "called"),
    [
        (tool_call("f", {"city": "Paris"}), '{"city": "Paris"}'),
        (tool_call("f", {"town": "Paris"}), '{"city": "text"}'),
        (tool_call("g", {"city": "Paris"}), '{"city": "Paris"}'),
    ],
    ids=["as scripted", "breaks the schema", "one of two"],
)
def test_a_demanded_call_is_the_one_of_the_script(fake_llm: Fake, asking: Any, scripted: Turn, called: str) -> None:
    """On a server that is made to call a tool by a form of the whole reply, too, as far as the form allows it."""
    fake_llm.script(scripted)
    tools: Any = [{"type": "function", "function": {"name": name, "parameters": CITY}} for name in "fg"]
    options: Any = {"tools": tools, "tool_choice": "required", "parallel_tool_calls": False}
    [choice] = asking.chat.completions.create(model="m", messages=HI, **options).choices
    [call] = choice.message.tool_calls
    assert call.function.arguments.replace('":"', '": "') == called


def test_the_fixture_says_what_the_script_lacked(tried: Any) -> None:
    """A test that asks once too often fails, even where the program swallows the error."""
    source = """
        import json, urllib.error, urllib.request

        def test_a_loop(fake_llm):
            fake_llm.script("one")
            body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}]}).encode()
            for _ in range(2):
                request = urllib.request.Request(fake_llm.base_url + "/chat/completions", body, {"authorization": "x"})
                try:
                    urllib.request.urlopen(request).close()
                except urllib.error.HTTPError as error:
                    error.close()
    """
    result = tried(source)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*1 call came when the script had ended*", "*2. POST /v1/chat/completions -> 400*"])
