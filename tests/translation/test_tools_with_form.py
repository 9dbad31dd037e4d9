"""Tools beside a `response_format`: as at OpenAI the model calls its tools first, and gives the form when it answers.

A grammar covers a whole reply on these servers, so that no tool is ever called under it; the fakes do as they do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from drivers import SYNC_AND_ASYNC, Play, every, mode
from pydantic import BaseModel

from llm_adapter import Settings
from llm_adapter.testing import Fake, serving, text, thinking, tool_call, tool_calls
from llm_adapter.translation.reply_checks import summed_usage

ASKED: Any = [{"role": "user", "content": "What is the weather in Paris?"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {"type": "function", "function": {"name": "get_weather", "parameters": CITY}}
REPORT = {"type": "object", "properties": {"report": {"type": "string"}}, "required": ["report"]}
FORMS: dict[str, Any] = {
    "json_schema": {"type": "json_schema", "json_schema": {"name": "report", "schema": REPORT}},
    "json_object": {"type": "json_object"},
    "json_object with a schema": {"type": "json_object", "schema": REPORT},
}
SCHEMA: Any = FORMS["json_schema"]
GOOD, PROSE = '{"report": "sunny"}', "It is sunny in Paris."
CALLED = [("get_weather", '{"city": "Paris"}')]


@dataclass
class Report:
    """What a call came to, streamed or not."""

    text: str | None
    calls: list[tuple[str, str]]
    reason: str | None
    usage: Any
    adapter: Any


class On:
    """One server: a persona, and over which of its APIs it is spoken to."""

    def __init__(self, play: Play, fake: Fake, v1: bool) -> None:
        self._play, self.fake = play, fake
        native = fake.settings()
        v1_settings = Settings(provider="openai", base_url=f"{fake.url}/v1", dialect="ollama", api_key="x")
        self.settings = v1_settings if v1 else native

    def ask(self, stream: bool = False, **arguments: Any) -> Report:
        given = {"model": "m", "messages": ASKED, "tools": [WEATHER], "response_format": SCHEMA, **arguments}

        def script(client: Any) -> Any:
            if stream:
                options = {"include_usage": True}
                got = yield client.chat.completions.create(**given, stream=True, stream_options=options)
                return (yield every(got))
            return (yield client.chat.completions.create(**given))

        got = self._play(script, settings=self.settings)
        return streamed(got) if stream else whole(got)

    @property
    def sent(self) -> list[tuple[bool, bool]]:
        """Of each request, whether it had tools, and whether it had a form."""
        bodies = [one.body for one in self.fake.requests if "chat" in one.path]
        return [("tools" in one, bool(one.get("format") or one.get("response_format"))) for one in bodies]


def whole(reply: Any) -> Report:
    choice = reply.choices[0]
    calls = [(one.function.name, one.function.arguments) for one in choice.message.tool_calls or []]
    return Report(choice.message.content, calls, choice.finish_reason, reply.usage, reply.adapter)


def streamed(chunks: list[Any]) -> Report:
    calls: dict[int, tuple[str, str]] = {}
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    for one in [one for delta in deltas for one in delta.tool_calls or ()]:
        name, arguments = calls.get(one.index, ("", ""))
        calls[one.index] = (name + (one.function.name or ""), arguments + (one.function.arguments or ""))
    said = "".join(delta.content or "" for delta in deltas)
    reason = next(choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason)
    last = chunks[-1]
    return Report(said or None, list(calls.values()), reason, last.usage, last.adapter)


SERVERS = {name: (name, False) for name in ("ollama@0.32", "llamacpp", "vllm", "lmstudio")}
SERVERS |= {"ollama's /v1": ("ollama@0.32", True)}


@pytest.fixture(params=SERVERS, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[tuple[Fake, bool]]:
    persona, v1 = SERVERS[request.param]
    with serving(persona) as fake:
        yield fake, v1


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def on(request: pytest.FixtureRequest, server: tuple[Fake, bool]) -> Iterator[On]:
    fake, v1 = server
    fake.requests.clear()
    yield On(request.param, fake, v1)
    fake.assert_all_used()


@pytest.mark.parametrize("stream", [False, True])
def test_the_tool_is_called_first(stream: bool, on: On) -> None:
    """The reply is the call, and nothing is said of a form that no text has."""
    on.fake.script(tool_call("get_weather", {"city": "Paris"}))
    got = on.ask(stream)
    assert [(name, json.loads(given)) for name, given in got.calls] == [("get_weather", {"city": "Paris"})]
    assert (got.text, got.reason, on.sent) == (None, "tool_calls", [(True, False)])
    assert (got.adapter.emulated, got.adapter.structured_output) == (["response_format"], None)


@pytest.mark.parametrize("stream", [False, True])
def test_a_text_that_fits_is_the_reply(stream: bool, on: On) -> None:
    """Also in a fence: nothing held the model to the form, and the report says so."""
    on.fake.script(text(f"```json\n{GOOD}\n```"))
    got = on.ask(stream)
    assert (got.text, got.calls, got.reason, on.sent) == (GOOD, [], "stop", [(True, False)])
    assert got.adapter.structured_output == {"enforced": False, "validated": True, "repaired": False}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("stream", [False, True])
def test_another_text_is_asked_for_in_the_form(stream: bool, form: Any, on: On) -> None:
    """Once more, with the form and without tools; the usage is that of both requests."""
    on.fake.script(text(PROSE, usage=(10, 5)), text(GOOD, usage=(20, 7)))
    got = on.ask(stream, response_format=form)
    assert (got.text, got.calls, got.reason, on.sent) == (GOOD, [], "stop", [(True, False), (False, True)])
    assert [one["role"] for one in on.fake.last.body["messages"]] == ["user", "assistant", "user"]
    assert got.adapter.structured_output == {"enforced": True, "validated": True, "repaired": False}
    assert (got.usage.prompt_tokens, got.usage.completion_tokens, got.usage.total_tokens) == (30, 12, 42)


@pytest.mark.parametrize("choice", ["required", {"type": "function", "function": {"name": "get_weather"}}], ids=str)
def test_a_demanded_call_has_no_form(choice: Any, on: On) -> None:
    """Where the server is held to a call by a schema, it is the call's."""
    spoken = text(json.dumps({"name": "get_weather", "arguments": {"city": "Paris"}}))
    on.fake.script(tool_call("get_weather", {"city": "Paris"}) if on.fake.persona.dialect != "ollama" else spoken)
    got = on.ask(tool_choice=choice)
    assert [name for name, _ in got.calls] == ["get_weather"]
    form = on.fake.last.body.get("format") or on.fake.last.body.get("response_format")
    assert "report" not in json.dumps(form)
    assert got.adapter.structured_output is None


def test_no_tools_leave_the_form_alone(on: On) -> None:
    on.fake.script(GOOD)
    got = on.ask(tool_choice="none")
    assert (got.text, [form for _, form in on.sent]) == (GOOD, [True])
    assert got.adapter.structured_output == {"enforced": True, "validated": True, "repaired": False}


def test_the_second_reply_is_mended_as_any(on: On) -> None:
    on.fake.script(PROSE, "still prose", GOOD)
    got = on.ask()
    assert (got.text, on.sent) == (GOOD, [(True, False), (False, True), (False, True)])
    assert got.adapter.structured_output == {"enforced": False, "validated": True, "repaired": True}
    on.fake.script(PROSE, PROSE, PROSE)
    with pytest.raises(openai.UnprocessableEntityError, match="does not fit `response_format`"):
        on.ask()


# --- what is the same on every server, on one of them


@pytest.fixture(params=SYNC_AND_ASYNC, ids=mode)
def ollama(request: pytest.FixtureRequest) -> Iterator[On]:
    with serving("ollama@0.32") as fake:
        yield On(request.param, fake, v1=False)


def test_several_choices_go_each_its_way(ollama: On) -> None:
    """One calls, one gives prose, one gives the form."""
    replies = {1: tool_call("get_weather", {"city": "Paris"}), 2: text(PROSE), 3: text(GOOD)}
    ollama.fake.on(lambda asked: text(GOOD) if asked.body.get("format") else replies[asked.body["options"]["seed"]])

    def script(client: Any) -> Any:
        return (
            yield client.chat.completions.create(
                model="m", messages=ASKED, tools=[WEATHER], response_format=SCHEMA, n=3, seed=1
            )
        )

    reply = ollama._play(script, settings=ollama.settings)
    assert [one.finish_reason for one in reply.choices] == ["tool_calls", "stop", "stop"]
    assert [one.message.content for one in reply.choices] == [None, GOOD, GOOD]
    assert reply.adapter.structured_output == {"enforced": False, "validated": True, "repaired": False}


OWN_FIELDS: list[tuple[str, Any]] = [
    ("ollama@0.32", {"format": REPORT}),
    ("llamacpp", {"json_schema": REPORT}),
    ("vllm", {"structured_outputs": {"json": REPORT}}),
]


@pytest.mark.parametrize(("persona", "field"), OWN_FIELDS, ids=str)
def test_a_form_in_a_field_of_the_servers_own(persona: str, field: Any) -> None:
    """It covers the whole reply as well."""
    [name] = field
    with serving(persona) as fake, fake.client() as client:
        fake.script(PROSE, GOOD)
        asked: Any = {"model": "m", "messages": ASKED, "tools": [WEATHER], "extra_body": field}
        reply = client.chat.completions.create(**asked)
        assert (reply.choices[0].message.content, reply.adapter.emulated) == (GOOD, [name])
        assert [(name in one.body, "tools" in one.body) for one in fake.calls] == [(False, True), (True, False)]


@pytest.mark.parametrize(("finish", "asked"), [("length", 2), ("stop", 2)])
def test_a_text_that_was_cut_is_asked_for_in_the_form(finish: str, asked: int, ollama: On) -> None:
    """Prose that used up the budget is no reason to hand on prose."""
    ollama.fake.script(text(PROSE, finish=finish), GOOD)
    assert (ollama.ask().text, len(ollama.sent)) == (GOOD, asked)


def test_a_thought_that_used_up_the_budget_is_the_reply(ollama: On) -> None:
    ollama.fake.script(thinking("Hmm", text("", finish="length")))
    with pytest.warns(UserWarning, match="thinking used the whole"):
        got = ollama.ask()
    assert (got.reason, len(ollama.sent)) == ("length", 1)


def test_one_call_at_a_time(ollama: On) -> None:
    ollama.fake.script(tool_calls(("get_weather", {"city": "Paris"}), ("get_weather", {"city": "Rome"})))
    assert len(ollama.ask(parallel_tool_calls=False).calls) == 1


def test_functions_before_tools(ollama: On) -> None:
    def script(client: Any) -> Any:
        older: Any = {"functions": [WEATHER["function"]], "response_format": SCHEMA}
        return (yield client.chat.completions.create(model="m", messages=ASKED, **older))

    ollama.fake.script(tool_call("get_weather", {"city": "Paris"}))
    reply = ollama._play(script, settings=ollama.settings)
    assert reply.choices[0].message.function_call.name == "get_weather"
    assert len(ollama.sent) == 1


class Weather(BaseModel):
    report: str


def test_an_agent_with_an_output_type(ollama: On) -> None:
    """The SDK's own `.parse()`: the tool, its result, and the object."""

    def script(client: Any) -> Any:
        history = list(ASKED)
        given: Any = {"model": "m", "tools": [{**WEATHER, "function": {**WEATHER["function"], "strict": True}}]}
        first = yield client.chat.completions.parse(messages=history, response_format=Weather, **given)
        called = first.choices[0].message
        history += [called, {"role": "tool", "tool_call_id": called.tool_calls[0].id, "content": "sunny"}]
        return (yield client.chat.completions.parse(messages=history, response_format=Weather, **given))

    ollama.fake.script(tool_call("get_weather", {"city": "Paris"}), PROSE, GOOD)
    reply = ollama._play(script, settings=ollama.settings)
    assert reply.choices[0].message.parsed == Weather(report="sunny")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["json_schema", "json_object"])
def test_the_responses_api(kind: str, stream: bool, ollama: On) -> None:
    """`text.format` beside tools; a schema beside its json_object is read as well."""
    asked: Any = {"type": kind, "schema": REPORT, **({"name": "report"} if kind == "json_schema" else {})}
    tool: Any = {"type": "function", "name": "get_weather", "parameters": CITY, "strict": False}

    def script(client: Any) -> Any:
        given = {"model": "m", "input": "What is the weather?", "tools": [tool], "text": {"format": asked}}
        outputs = []
        for _ in range(2):
            reply = yield client.responses.create(**given, stream=stream)
            outputs.append((yield every(reply))[-1].response if stream else reply)
        return outputs

    ollama.fake.script(tool_call("get_weather", {"city": "Paris"}), "{}", GOOD)
    called, formed = ollama._play(script, settings=ollama.settings)
    assert [one.type for one in called.output] == ["function_call"]
    assert formed.output_text == GOOD
    assert ollama.sent == [(True, False), (True, False), (False, True)]


@pytest.mark.parametrize(("per_prompt", "cached"), [(1, 7), (2, 3)])
def test_details_of_a_prompt_are_counted_as_the_prompt_is(per_prompt: int, cached: int) -> None:
    """For each request of its own, and once for choices that share it."""
    usages: Any = [
        {
            "prompt_tokens": 9,
            "completion_tokens": 1,
            "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": None},
        },
        {"prompt_tokens": 9, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 4}},
    ]
    assert summed_usage(usages, per_prompt)["prompt_tokens_details"] == {"cached_tokens": cached, "audio_tokens": 0}


EMBEDDED = Settings(provider="embedded")


def test_the_form_of_a_real_model() -> None:
    """With the tool's result in hand it answers, once in prose and then in the form; all tokens are counted."""
    pytest.importorskip("xllamacpp")
    called = {"id": "c", "type": "function", "function": {"name": "get_weather", "arguments": CALLED[0][1]}}
    history = [
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c", "content": "2 degrees"},
    ]

    def script(client: Any) -> Any:
        given: Any = {"model": "m", "messages": history, "tools": [WEATHER], "max_tokens": 60, "temperature": 0}
        whole = yield client.chat.completions.create(**given, response_format=SCHEMA)
        chunks = yield every((yield client.chat.completions.create(**given, response_format=SCHEMA, stream=True)))
        return whole, streamed(chunks)

    whole, stream = SYNC_AND_ASYNC[0](script, settings=EMBEDDED)
    text = whole.choices[0].message.content
    assert list(json.loads(text)) == ["report"]
    assert stream.text == text
    assert whole.adapter.structured_output == {"enforced": True, "validated": True, "repaired": False}
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens


def test_on_the_embedded_llamacpp() -> None:
    """A real model, which never called its tool under the form."""
    pytest.importorskip("xllamacpp")

    def script(client: Any) -> Any:
        given: Any = {"model": "m", "messages": ASKED, "tools": [WEATHER], "max_tokens": 100, "temperature": 0}
        return (yield client.chat.completions.create(**given, response_format=SCHEMA))

    reply = SYNC_AND_ASYNC[0](script, settings=EMBEDDED)
    assert [(one.function.name, one.function.arguments) for one in reply.choices[0].message.tool_calls] == CALLED
