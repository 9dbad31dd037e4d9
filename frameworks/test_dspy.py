"""DSPy sends by itself to OpenAI's address, unless a variable names another one: then litellm sends, by the SDK."""

from __future__ import annotations

import json

import dspy
from conftest import COUNTED, GREETING, REPORT, SUNNY, ollama_only
from process import run_program

from llm_adapter import install

PROGRAM = "uses_dspy"
ANA = {"name": "Ana", "age": 30}
TINY = ("stream", "tools")  # what the tiny model does not say in the form that DSPy reads


def answer(**fields):
    """A reply in DSPy's own form."""
    return "\n\n".join([*(f"[[ ## {name} ## ]]\n{text}" for name, text in fields.items()), "[[ ## completed ## ]]"])


WEATHER = {"next_tool_name": "get_weather", "next_tool_args": '{"city": "Paris"}'}
FINISH = {"next_tool_name": "finish", "next_tool_args": "{}"}
TURNS = (
    *(GREETING, answer(answer=REPORT), answer(answer=GREETING), json.dumps(ANA), answer(answer=COUNTED)),
    *(answer(next_thought="I look.", **WEATHER), answer(next_thought="Done.", **FINISH)),
    answer(reasoning="It is sunny.", answer=REPORT),
)
OFFLINE = {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}
ENVIRONMENT = {**OFFLINE, "LLM_ADAPTER_LOCAL_ONLY": "true"}


def test_it_answers(outcome):
    assert outcome.cells["chat"] == [GREETING]
    assert outcome.cells["embeddings"] == [96, 96]
    name, age = outcome.cells["structured_output"]
    assert (type(name), type(age)) == (str, int)
    assert set(outcome.raised) <= {*TINY} if outcome.backend.name == "embedded" else not outcome.raised


@ollama_only
def test_its_own_form(outcome):
    assert outcome.cells["predicted"] == outcome.cells["tools"] == REPORT
    assert outcome.cells["chat_async"] == GREETING
    assert outcome.cells["structured_output"] == ["Ana", 30]
    assert "".join(outcome.cells["stream"]) == COUNTED


@ollama_only
def test_what_was_asked(outcome):
    asked = [call.body for call in outcome.backend.fake.calls if call.path == "/api/chat"]
    assert asked[3]["format"]["required"] == ["name", "age"]
    assert SUNNY in asked[6]["messages"][-1]["content"]


@ollama_only
def test_without_an_address_it_asks_openai_itself(destination, tmp_path):
    """The report says that no client was made; `local_only` is what keeps it here."""
    outcome = run_program(destination, PROGRAM, tmp_path, OFFLINE)
    assert set(outcome.left) == {"api.openai.com"}
    assert [call for call in outcome.calls if call.get("model_asked") == "gpt-4o-mini"] == []


def test_litellm_as_its_engine(destination, monkeypatch):
    for name, value in OFFLINE.items():
        monkeypatch.setenv(name, value)
    destination.script(GREETING)
    with install(settings=destination.settings):
        lm = dspy.LM("openai/gpt-4o-mini", api_key="unused", temperature=0, cache=False, engine="litellm")
        assert lm("Hello") == [GREETING]
