"""AG2 1.x makes its clients itself, with no place for ours: `llm-adapter run` switches them."""

from __future__ import annotations

from conftest import COUNTED, GREETING, REPORT, ollama_only

from llm_adapter.testing import tool_call

PROGRAM = "uses_ag2"
TURNS = (GREETING, COUNTED, COUNTED, '{"name": "Ana", "age": 30}', tool_call("get_weather", {"city": "Paris"}), REPORT)
TURNS += (GREETING,)


def test_an_unmodified_program(outcome):
    assert outcome.raised == {}
    assert outcome.cells["chat"][0] == outcome.cells["responses"] == GREETING
    assert "".join(outcome.cells["stream"]) == COUNTED
    assert len(outcome.cells["stream"]) > 4
    assert outcome.cells["structured_output"] == {"name": "Ana", "age": 30}
    assert outcome.cells["tools"].endswith("sunny in Paris.")


@ollama_only
def test_what_reaches_the_model(outcome, destination):
    """The second question comes with the first and its answer."""
    bodies = [one.body for one in destination.fake.requests if one.path == "/api/chat"]
    assert [one["content"] for one in bodies[1]["messages"]][-3:] == ["Hello", GREETING, "Count to 5"]
    assert bodies[3]["format"]["properties"].keys() == {"name", "age"}
    assert [body["tools"][0]["function"]["name"] for body in bodies[4:6]] == ["get_weather", "get_weather"]
    assert bodies[5]["messages"][-1]["content"] == "18 degrees and sunny in Paris"
