"""AG2 below 1, as AutoGen was before 0.4: its `llm_config` makes the clients, which `llm-adapter run` switches."""

from __future__ import annotations

from conftest import GREETING, REPORT, ollama_only

from llm_adapter.testing import tool_call

PROGRAM = "uses_ag2_classic"
TURNS = (GREETING, '{"name": "Ana", "age": 30}', tool_call("get_weather", {"city": "Paris"}), REPORT)
TURNS += ("Once upon a time.", "It is short.")


def test_an_unmodified_program(outcome):
    assert outcome.raised == {}
    assert GREETING in str(outcome.cells["chat"])
    assert outcome.cells["structured_output"] == {"name": "Ana", "age": 30}
    assert "tool" in outcome.cells["tools"]
    names, texts = zip(*outcome.cells["named_agent"], strict=True)
    assert names == ("ana", "writer", "critic")
    assert all(texts)
    *_, first, second = [call["adapted"] for call in outcome.calls if call["calls"]]
    assert (first, second) == ("ignored=messages.name", "emulated=messages.name")


@ollama_only
def test_what_reaches_the_model(outcome, destination):
    bodies = [one.body for one in destination.fake.requests]
    assert bodies[1]["format"]["properties"].keys() == {"name", "age"}
    assert bodies[2]["tools"][0]["function"]["name"] == "get_weather"
    assert bodies[3]["messages"][-1]["content"] == "18 degrees and sunny in Paris"
    assert bodies[-1]["messages"] == [
        {"role": "system", "content": "You find fault."},
        {"role": "user", "content": "ana: Hello"},
        {"role": "user", "content": "writer: Once upon a time."},
    ]
