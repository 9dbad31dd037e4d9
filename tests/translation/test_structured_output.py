"""Structured outputs: sent to be enforced, held against the schema all the same, mended once, honest about it."""

from __future__ import annotations

from typing import Any

import openai
import pytest
from conftest import DONE, HI, HOST
from pydantic import BaseModel

from llm_adapter import Settings


class Person(BaseModel):
    name: str
    age: int


SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
FORM: Any = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA}}
GOOD, BAD = '{"name": "Ana", "age": 30}', '{"name": "Ana"}'


def said(content: str, **more: Any) -> dict[str, Any]:
    return {"model": "m", "message": {"role": "assistant", "content": content}, **DONE, **more}


def ask(run: Any, **arguments: Any) -> Any:
    return run(
        lambda client: client.chat.completions.create(
            **{"model": "m", "messages": HI, "response_format": FORM, **arguments}
        )
    )


def test_a_reply_that_fits(run: Any, ollama: Any) -> None:
    """The schema goes out as `format`; what happened is on the reply."""
    ollama.answer("/api/chat", body=said(GOOD))
    reply = ask(run)
    assert ollama.sent["format"] == SCHEMA
    assert reply.adapter.structured_output == {"enforced": True, "validated": True, "repaired": False}


def test_a_reply_that_does_not_fit_is_mended_once(run: Any, ollama: Any) -> None:
    """A server that ignores the schema gets one turn to correct itself, told what is wrong."""
    import respx

    route: respx.Route = ollama.answer("/api/chat", body=said(BAD))
    import httpx

    route.mock(side_effect=[httpx.Response(200, json=said(BAD)), httpx.Response(200, json=said(GOOD))])
    reply = ask(run)
    assert reply.choices[0].message.content == GOOD
    assert reply.adapter.structured_output == {"enforced": False, "validated": True, "repaired": True}
    assert "'age' is a required property" in ollama.sent["messages"][-1]["content"]


def test_a_reply_that_never_fits_is_an_error(run: Any, ollama: Any) -> None:
    """The error carries the raw text, and is not repeated by the SDK."""
    ollama.answer("/api/chat", body=said(BAD))
    with pytest.raises(openai.UnprocessableEntityError, match="'age' is a required property") as caught:
        ask(run)
    body: Any = caught.value.body
    assert (ollama.count, body["code"], body["raw"]) == (2, "structured_output_invalid", BAD)


def test_a_fence_is_taken_off(run: Any, ollama: Any) -> None:
    """Models that are not constrained like to put JSON into Markdown."""
    ollama.answer("/api/chat", body=said(f"```json\n{GOOD}\n```"))
    assert ask(run).choices[0].message.content == GOOD
    assert ollama.count == 1


def test_json_object(run: Any, ollama: Any) -> None:
    """`json_object` means an object: a list is not one."""
    ollama.answer("/api/chat", body=said("[1]"))
    with pytest.raises(openai.UnprocessableEntityError, match="not of type 'object'"):
        ask(run, response_format={"type": "json_object"})
    assert ollama.sent["format"] == "json"


def test_a_cut_reply_is_not_held_against_the_schema(run: Any, ollama: Any) -> None:
    """`length` says it all, and the SDK's own error for it stands."""
    ollama.answer("/api/chat", body=said('{"na', done_reason="length"))
    assert ask(run).choices[0].finish_reason == "length"
    with pytest.raises(openai.LengthFinishReasonError):
        run(lambda client: client.chat.completions.parse(model="m", messages=HI, response_format=Person))


def test_parse(run: Any, ollama: Any) -> None:
    """`.parse()` with a pydantic model, as the SDK has it."""
    ollama.answer("/api/chat", body=said(GOOD))
    reply = run(lambda client: client.chat.completions.parse(model="m", messages=HI, response_format=Person))
    assert reply.choices[0].message.parsed == Person(name="Ana", age=30)
    assert (reply.ollama.total_duration, reply.adapter.structured_output["validated"]) == (9, True)
    assert ollama.sent["format"]["additionalProperties"] is False


def test_what_a_grammar_cannot_hold_is_checked_only(run: Any, ollama: Any) -> None:
    """An unanchored pattern would be an error in llama.cpp: it is told in `format`, and checked here."""
    loose = {"type": "object", "properties": {"name": {"type": "string", "pattern": "^A"}}}
    form: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": loose}}
    ollama.answer("/api/chat", body=said('{"name": "Bob"}'))
    with pytest.raises(openai.UnprocessableEntityError, match="does not match"):
        ask(run, response_format=form)
    assert ollama.sent["format"]["properties"]["name"] == {"type": "string", "description": "(pattern: ^A)"}


@pytest.mark.parametrize(("text", "fits"), [(GOOD, True), (BAD, False)])
def test_a_stream_is_checked_at_its_end(text: str, fits: bool, run: Any, ollama: Any) -> None:
    """A stream cannot be mended, but it does not end as if it were right."""
    ollama.answer("/api/chat", body=[said(letter) | {"done": False} for letter in text] + [said("")])
    asked: Any = {"model": "m", "messages": HI, "response_format": FORM, "stream": True}
    if not fits:
        with pytest.raises(openai.APIError, match="'age' is a required property"):
            run.stream(lambda client: client.chat.completions.create(**asked))
        return
    chunks = run.stream(lambda client: client.chat.completions.create(**asked))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
    assert chunks[-1].adapter.structured_output["validated"] is True


def test_corrections_can_be_switched_off(run: Any, ollama: Any) -> None:
    ollama.answer("/api/chat", body=said(BAD))
    settings = Settings(provider="ollama", host=HOST, corrections=0)
    with pytest.raises(openai.UnprocessableEntityError):
        run(
            lambda client: client.chat.completions.create(model="m", messages=HI, response_format=FORM),
            settings=settings,
        )
    assert ollama.count == 1
