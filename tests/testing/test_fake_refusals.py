"""The Ollama personas against what real servers refused: the same status and words.

recordings/ollama_refusals.jsonl: what ollama 0.24.0 and 0.33.0-rc2 answered to requests that are wrong, on /v1 and
natively, one of each kind. 0.33.0-rc2 stands for 0.32.15: openai/, middleware/, api/, types/model and server/routes.go
are the same. `"words": false`: of what Go's decoder says, only the status and the form are played.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import RECORDINGS
from test_fake_recorded import EMBED, JINJA, PLAIN, TINY

from llm_adapter.testing.scripted import Scripted

ROWS = [json.loads(line) for line in (RECORDINGS / "ollama_refusals.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.parametrize("version", sorted({version for row in ROWS for version in row["on"]}))
def test_refusals_are_the_servers_own(version: str) -> None:
    wrong: dict[str, Any] = {}
    for row in ROWS:
        if version in row["on"] and (found := answered(f"ollama@{version}", row)) != (there := refused(row)):
            wrong[row["case"]] = (found, there)
    assert wrong == {}


def answered(name: str, row: dict[str, Any]) -> tuple[int, Any]:
    """The status of a persona's answer, and what it says."""
    server = Scripted(name, models=[TINY, PLAIN, EMBED, JINJA], context=2048)
    found = server.answer(row["method"], row["path"], (), row["body"].encode())
    return found.status, said(row, found.body.decode())


def refused(row: dict[str, Any]) -> tuple[int, Any]:
    """The same of the server's."""
    return row["status"], said(row, row["answer"])


def said(row: dict[str, Any], body: str) -> Any:
    if row["method"] == "HEAD":
        return None
    return content(body) if row.get("words", True) else form(content(body))


def content(body: str) -> Any:
    return json.loads(body) if body.startswith("{") else body.strip()


def form(said: Any) -> Any:
    """An error without its words."""
    return {"error": {**said["error"], "message": ""} if isinstance(said["error"], dict) else ""}


def test_refusals_use_up_no_turn() -> None:
    server = Scripted("ollama@0.32", models=[TINY])
    server.script("one")
    for body in (b"", b"{", b'{"model":"tiny","messages":"x"}', b'{"model":"a b","messages":[]}'):
        assert server.answer("POST", "/api/chat", (), body).status == 400
    assert len(server.unused) == 1


@given(st.text(alphabet='{}[]",:\\ue0123.-+tfnN \n', max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes the fake fall over, and what Python's JSON does not take is refused."""
    found = Scripted("ollama@0.32").answer("POST", "/api/show", (), text.encode())
    assert found.status in (400, 404, 200)
    try:
        json.loads(text)
    except ValueError:
        assert json.loads(found.body)["error"]


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["tiny", "TINY", "tiny:latest", "library/tiny", "registry.ollama.ai/library/tiny:latest"]
)
def test_a_model_has_several_names(name: str) -> None:
    """Letters' case, the tag and the registry may differ; the reply says the name that was asked for."""
    server = Scripted("ollama@0.32", models=[TINY])
    body = {"model": name, "messages": [{"role": "user", "content": "Hi"}]}
    found = server.answer("POST", "/v1/chat/completions", (), json.dumps(body).encode())
    assert (found.status, json.loads(found.body)["model"]) == (200, name)
    [loaded] = json.loads(server.answer("GET", "/api/ps", (), b"").body)["models"]
    assert loaded["name"] == "tiny:latest"


@pytest.mark.parametrize("name", ["openai", "vllm", "lmstudio"])
def test_elsewhere_a_name_is_what_it_is(name: str) -> None:
    server = Scripted(name, models=["gpt-4o-mini", "other"])
    body = {"model": "GPT-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
    assert (
        server.answer("POST", "/v1/chat/completions", [("authorization", "x")], json.dumps(body).encode()).status == 404
    )


# --- what is new beside refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ollama@0.24", "ollama@0.32"])
def test_the_old_embeddings(name: str) -> None:
    """POST /api/embeddings, which older libraries ask."""
    server = Scripted(name, models=[EMBED])
    found = server.answer("POST", "/api/embeddings", (), b'{"model":"tiny-embed","prompt":"Hello"}')
    assert {key: len(vector) for key, vector in json.loads(found.body).items()} == {"embedding": 96}
    empty = server.answer("POST", "/api/embeddings", (), b'{"model":"tiny-embed"}')
    assert json.loads(empty.body) == {"embedding": []}


def test_what_a_response_repeats() -> None:
    """Ollama keeps nothing, and says so: no previous response, no metadata."""
    body = {"model": "tiny", "input": "Hi", "previous_response_id": "resp_1", "metadata": {"a": "b"}}
    tools = [{"type": "web_search"}]
    found = Scripted("ollama@0.32").answer(
        "POST", "/v1/responses", (), json.dumps({**body, "tools": tools, "temperature": 0.5}).encode()
    )
    said = json.loads(found.body)
    assert (said["previous_response_id"], said["metadata"], said["temperature"]) == (None, {}, 0.5)
    nothing = {"name": "", "description": None, "strict": None, "parameters": None}
    assert said["tools"] == [{**nothing, "type": "web_search"}]


def test_openai_reads_json_too() -> None:
    server = Scripted("openai")
    found = server.answer("POST", "/v1/chat/completions", [("authorization", "x")], b"{")
    assert json.loads(found.body)["error"]["message"].startswith("We could not parse the JSON body of your request.")


@pytest.mark.parametrize(("models", "status"), [(None, 200), (["qwen3:8b"], 501), ({"qwen3:8b": ["embedding"]}, 200)])
def test_who_embeds(models: Any, status: int) -> None:
    """A model that was named for a chat one embeds not, in 0.32; where none was named, any does."""
    body = {"model": "qwen3:8b", "input": "Hi"}
    found = Scripted("ollama@0.32", models=models).answer("POST", "/v1/embeddings", (), json.dumps(body).encode())
    assert found.status == status
