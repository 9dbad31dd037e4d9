"""mem0 makes the SDK's clients of its configuration; one of ours can be put in their place."""

from __future__ import annotations

import json

import pytest

PROGRAM = "uses_mem0"
FACT = "Ana loves basketball"
FACTS = json.dumps({"memory": [{"id": "0", "text": FACT, "attributed_to": "user"}]})
TURNS = (FACTS, "The coach listened.", FACTS)
ENVIRONMENT = {"MEM0_TELEMETRY": "false"}
SAID, ANSWERED = "Hi, I am Ana. I love basketball.", "Good to know, Ana."


def test_memories_are_kept_and_found(outcome):
    assert outcome.cells["embeddings"][0] == SAID


@pytest.mark.parametrize("cell", ["structured_output", "asynchronous"])
def test_facts_are_extracted(outcome, cell):
    """Its prompt for that is longer than the context of the tiny model, which says so."""
    if outcome.backend.name == "embedded":
        assert "maximum context length is 2048 tokens" in outcome.raised[cell]
    else:
        assert outcome.cells[cell] == [FACT]


def test_chat(outcome):
    assert outcome.cells["chat"]


def test_a_messages_name_stays_with_the_memory(outcome):
    """The model is sent no name: that call's report says so."""
    assert outcome.cells["named_agent"] == [[ANSWERED, "coach"], [SAID, None]]
    assert [one["adapted"] for one in outcome.calls if one.get("adapted")] == ["ignored=messages.name"]


def test_what_the_model_was_asked(outcome):
    if outcome.backend.fake is None:
        pytest.skip("the embedded models are asked inside the program's process")
    chats = [one.body for one in outcome.backend.fake.calls if one.path == "/api/chat"]
    assert [one["model"] for one in chats] == ["tiny"] * 3
    assert [one.get("format") for one in chats] == ["json", None, "json"]
    assert SAID in chats[0]["messages"][1]["content"]
    assert chats[1]["messages"][0]["content"] == "You write down what was done."


def test_the_recipe_of_the_documents(guide, monkeypatch, tmp_path):
    monkeypatch.setenv("MEM0_TELEMETRY", "false")
    monkeypatch.setenv("MEM0_DIR", str(tmp_path))
    made = guide("mem0")
    made["memory"].add("I love basketball.", user_id="ana", infer=False)
    found = made["memory"].search("I love basketball.", filters={"user_id": "ana"})["results"]
    assert [one["memory"] for one in found] == ["I love basketball."]
