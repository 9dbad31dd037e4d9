"""litellm as a caller of the SDK: its `openai/` models take a client, or make one that `install()` switches."""

from __future__ import annotations

import litellm
import pytest
from conftest import ANA, COUNT, COUNTED, GREETING, HELLO, MODEL, PARIS, Person

from llm_adapter import install
from llm_adapter.testing import tool_call

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the current weather for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(params=["given", "installed"])
def options(request, settings, client):
    """litellm with our client, and litellm that knows nothing of us."""
    if request.param == "given":
        yield {"client": client}
        return
    litellm.in_memory_llm_clients_cache.flush_cache()  # it keeps the clients that it makes
    with install(settings=settings):
        yield {"api_key": "unused"}


def ask(options, text, **others):
    messages = [{"role": "user", "content": text}]
    return litellm.completion(
        model=f"openai/{MODEL}", messages=messages, temperature=0, num_retries=0, **options, **others
    )


def test_chat(options):
    reply = ask(options, HELLO)
    assert reply.choices[0].message.content == GREETING
    assert reply.usage.completion_tokens > 0


def test_stream(options):
    pieces = [chunk.choices[0].delta.content or "" for chunk in ask(options, COUNT, stream=True)]
    assert "".join(pieces) == COUNTED
    assert len([piece for piece in pieces if piece]) > 5


def test_structured_output(options):
    reply = ask(options, ANA, response_format=Person)
    assert Person.model_validate_json(reply.choices[0].message.content) == Person(name="Ana", age=30)


def test_tool_call(options):
    (call,) = ask(options, PARIS, tools=[WEATHER]).choices[0].message.tool_calls
    assert (call.function.name, call.function.arguments.replace(" ", "")) == ("get_weather", '{"city":"Paris"}')


def test_embeddings(options):
    texts = ["The sky is blue", "A dog is an animal"]
    reply = litellm.embedding(model="openai/tiny-embed", input=texts, **options)
    assert [len(one["embedding"]) for one in reply.data] == [96, 96]


PROGRAM, REPORT = "uses_litellm", "It is 18 degrees and sunny in Paris."
CALL = tool_call("get_weather", {"city": "Paris"})
TURNS = (GREETING, GREETING, COUNTED, '{"name": "Ana", "age": 30}', CALL, REPORT, "Hello, Bob.", GREETING)


def test_an_unmodified_program(outcome, destination):
    cells = outcome.cells
    assert outcome.raised == {}
    assert (cells["chat"], cells["chat_async"], cells["router"]) == ([GREETING, True], GREETING, GREETING)
    assert "".join(cells["stream"]) == COUNTED
    assert len(cells["stream"]) > 4
    assert cells["structured_output"] == {"name": "Ana", "age": 30}
    assert cells["tools"] == ["get_weather", REPORT]
    assert len(set(cells["embeddings"])) == 1
    assert [call["adapted"] for call in outcome.calls if call.get("adapted")] == ["emulated=messages.name"]
    if destination.fake is not None:
        said = destination.fake.calls[6].body["messages"]
        assert [message["content"] for message in said] == ["Ana: I am Ana.", "Bob: Hello"]


def test_what_it_sends_by_itself(settings):
    """Its Responses API goes by its own HTTP client, to OPENAI_BASE_URL: nothing listens there under `local_only`."""
    refused = pytest.raises(litellm.exceptions.InternalServerError, match="Connection refused")
    with install(settings=settings.model_copy(update={"local_only": True})), refused:
        litellm.responses(model="openai/gpt-4o-mini", input=HELLO, num_retries=0)
