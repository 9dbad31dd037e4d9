"""ragas takes our client in its factories, and makes one of its own in `evaluate`."""

from __future__ import annotations

import asyncio
import json

import pytest

PROGRAM = "uses_ragas"
STATEMENT = "The Eiffel Tower is in Paris."
TURNS = tuple(
    map(
        json.dumps,
        (
            {"name": "Ana", "age": 30},
            {"statements": [STATEMENT]},
            {"statements": [{"statement": STATEMENT, "reason": "so it says", "verdict": 1}]},
            {"question": "Where is the Eiffel Tower?", "noncommittal": 0},
            {"value": "pass", "reason": "right"},
            {"reason": "no harm", "verdict": 0},
        ),
    )
)
ENVIRONMENT = {"RAGAS_DO_NOT_TRACK": "true"}
GAVE = {
    "structured_output": {"name": "Ana", "age": 30},
    "faithfulness": 1.0,
    "answer_relevancy": pytest.approx(1.0),
    "own_metric": "pass",
    "evaluation": [0],
}
# What instructor, which ragas asks with, says of a reply that is JSON and not what was asked for.
REFUSED = ("IncompleteOutputException", "InstructorRetryException")


def test_embeddings(outcome):
    assert outcome.cells["embeddings"] == [96, 96, 96]


@pytest.mark.parametrize("cell", GAVE)
def test_judges(outcome, cell):
    """Its judges are asked for JSON by words alone: the tiny model gives some that does not fit."""
    if outcome.backend.name == "ollama":
        assert outcome.cells[cell] == GAVE[cell]
    elif cell in outcome.raised:
        assert outcome.raised[cell].startswith(REFUSED)


def test_what_the_judge_was_asked(outcome):
    if outcome.backend.fake is None:
        pytest.skip("the embedded models are asked inside the program's process")
    chats = [one.body for one in outcome.backend.fake.calls if one.path == "/api/chat"]
    assert [one["format"] for one in chats] == ["json"] * 6
    assert [one["options"]["num_predict"] for one in chats] == [200] * 5 + [1024]
    assert "statements" in chats[1]["messages"][0]["content"]


def test_the_recipe_of_the_documents(guide, monkeypatch):
    """With a schema that the server holds the model to, even the tiny one is a judge, if not a good one."""
    monkeypatch.setenv("RAGAS_DO_NOT_TRACK", "true")
    made = guide("ragas")
    asked = {"user_input": "Where?", "response": "In Paris."}
    given = {**asked, "retrieved_contexts": ["In Paris it is."]}

    async def ask():
        return await made["faithfulness"].ascore(**given), await made["relevancy"].ascore(**asked)

    assert all(-1 <= one.value <= 1 for one in asyncio.run(ask()))
