"""LlamaIndex makes the SDK's clients, with OpenAI's address; its chat models take ours as well."""

from __future__ import annotations

from conftest import COUNT, COUNTED, GREETING, HELLO, MODEL, REPORT, SUNNY, ollama_only
from llama_index.core.llms import ChatMessage
from llama_index.llms.openai import OpenAI

from llm_adapter.testing import tool_call

PROGRAM = "uses_llamaindex"
HANDOFF = tool_call("handoff", {"to_agent": "weather", "reason": "it knows"})
WEATHER = tool_call("get_weather", {"city": "Paris"})
TURNS = (
    *(GREETING, GREETING, COUNTED, '{"name": "Ana", "age": 30}', GREETING),
    *(WEATHER, REPORT, HANDOFF, WEATHER, REPORT, "It is blue."),
)


def test_it_answers(outcome):
    assert {outcome.cells[cell] for cell in ("chat", "chat_async", "responses")} == {GREETING}
    assert "".join(outcome.cells["stream"]) == COUNTED
    assert len(outcome.cells["stream"]) > 4


def test_structured_output(outcome):
    """As a JSON schema, strict."""
    assert outcome.cells["structured_output"] == {"name": "Ana", "age": 30}


def test_a_tool_loop(outcome):
    assert outcome.cells["tools"] == REPORT


def test_the_nearest_document(outcome):
    (nearest, answer) = outcome.cells["embeddings"]
    assert nearest == ["The sky is blue."]
    assert answer


def test_agents_with_names(outcome):
    if outcome.backend.name == "embedded":
        assert outcome.cells["named_agent"][0] in ("planner", "weather")  # the tiny model does as it likes
    else:
        assert outcome.cells["named_agent"] == ["weather", REPORT]


@ollama_only
def test_what_was_asked(outcome):
    asked = [call.body for call in outcome.backend.fake.calls if call.path == "/api/chat"]
    assert {call["model"] for call in asked} == {"tiny"}
    assert asked[3]["format"]["required"] == ["name", "age"]
    assert [tool["function"]["name"] for tool in asked[5]["tools"]] == ["get_weather"]
    assert asked[6]["messages"][-1]["tool_name"] == "get_weather"
    assert asked[6]["messages"][-1]["content"] == SUNNY
    assert "The sky is blue." in asked[-1]["messages"][-1]["content"]


def test_our_client_chats(settings, client):
    """The name of the model has to be one that LlamaIndex knows: it looks up the context's length."""
    named = client.copy(settings=settings.model_copy(update={"models": {"gpt-4o-mini": MODEL}}))
    llm = OpenAI(model="gpt-4o-mini", temperature=0, openai_client=named)
    assert llm.chat([ChatMessage(HELLO)]).message.content == GREETING
    assert "".join(piece.delta for piece in llm.stream_chat([ChatMessage(COUNT)])) == COUNTED


def test_the_recipe_of_the_documents(guide, capsys):
    guide("llamaindex")
    assert capsys.readouterr().out == "The capital of France is Paris.\n"
