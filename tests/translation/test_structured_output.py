"""Structured outputs: sent to be enforced, held against the schema all the same, mended once, honest about it."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest
from conftest import DONE, HI, HOST
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from llm_adapter import Settings
from llm_adapter.testing import serving
from llm_adapter.testing import text as text_of
from llm_adapter.translation.structured_output import Unfenced, without_fence


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


def test_a_correction_counts_too(run: Any, ollama: Any) -> None:
    """What the first reply took is paid for as well."""
    bad = said(BAD, prompt_eval_count=10, eval_count=4, total_duration=5)
    good = said(GOOD, prompt_eval_count=20, eval_count=6, total_duration=7)
    ollama.answer("/api/chat").mock(side_effect=[httpx.Response(200, json=one) for one in (bad, good)])
    reply = ask(run)
    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens, reply.usage.total_tokens) == (30, 10, 40)
    assert reply.ollama.total_duration == 12


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


# What a model says, and what of it is the reply.
FENCED: dict[str, tuple[str, str]] = {
    "json": (f"```json\n{GOOD}\n```", GOOD),
    "no language": (f"\n ```\n{GOOD}```  \n", GOOD),
    "in capitals": (f"```JSON {GOOD} ```", GOOD),
    "never closed": (f"```json\n{GOOD}", GOOD),
    "none": (f" {GOOD}\n", f" {GOOD}\n"),
}


@pytest.mark.parametrize(("text", "reply"), FENCED.values(), ids=FENCED)
@pytest.mark.parametrize("persona", ["ollama@0.32", "vllm"])
def test_a_fence_is_taken_off_a_stream_as_well(persona: str, text: str, reply: str) -> None:
    """Whatever its pieces are, a stream says what the whole reply says."""
    asked: Any = {"model": "m", "messages": HI, "response_format": FORM}
    with serving(persona) as fake, fake.client() as client:
        fake.script(text_of([text]), *(text_of(pieces) for pieces in (list(text), [text[:5], text[5:-1], text[-1:]])))
        assert client.chat.completions.create(**asked).choices[0].message.content == reply
        for least in (2, 1):  # by letters it is no text that comes at once
            chunks = list(client.chat.completions.create(**asked, stream=True))
            deltas = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
            assert "".join(deltas) == reply
            assert len([one for one in deltas if one]) >= least


@settings(max_examples=60)
@given(
    st.lists(
        st.sampled_from(["`", "``", "```", "json", "js", "JSON", "on", "\n", " ", "{", "}", '"', "x"]), max_size=12
    )
)
def test_a_fence_in_any_pieces(pieces: list[str]) -> None:
    unfenced = Unfenced()
    out = [unfenced.feed(piece, done=False) for piece in pieces] + [unfenced.feed("", done=True)]
    assert "".join(out) == without_fence("".join(pieces))


def test_text_of_a_call_without_a_form_keeps_its_fence(run: Any, ollama: Any) -> None:
    text = "```json\n{}\n```"
    ollama.answer("/api/chat", body=said(text))
    assert ask(run, response_format={"type": "text"}).choices[0].message.content == text


SCHEMAS: dict[str, tuple[Any, bool]] = {
    "json_object": ({"type": "json_object", "schema": SCHEMA}, True),
    "json_schema": ({"type": "json_schema", "schema": SCHEMA}, True),
    "an empty one": ({"type": "json_object", "schema": {}}, False),
    "none": ({"type": "json_object", "schema": None}, False),
}


@pytest.mark.parametrize(("form", "used"), SCHEMAS.values(), ids=SCHEMAS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("persona", ["ollama@0.32", "llamacpp", "vllm", "lmstudio"])
def test_a_schema_beside_the_type(persona: str, stream: bool, form: Any, used: bool) -> None:
    """llama.cpp's and Together's way to say it: it is sent to be enforced, and judges the reply."""
    asked: Any = {"model": "m", "messages": HI, "response_format": form, "stream": stream}
    with serving(persona) as fake, fake.client() as client:
        fake.script(BAD, GOOD)
        got = client.chat.completions.create(**asked)
        if stream and used:
            with pytest.raises(openai.APIError, match="'age' is a required property"):
                list(got)
        elif not stream:
            assert got.choices[0].message.content == (GOOD if used else BAD)
        sent = fake.last.body.get("format") or fake.last.body["response_format"]
        assert ("age" in str(sent)) is used


@pytest.mark.parametrize("schema", ["x", [SCHEMA], 1])
def test_a_schema_that_is_none(schema: Any, run: Any, ollama: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="`response_format` must be"):
        ask(run, response_format={"type": "json_object", "schema": schema})


def test_corrections_can_be_switched_off(run: Any, ollama: Any) -> None:
    ollama.answer("/api/chat", body=said(BAD))
    settings = Settings(provider="ollama", host=HOST, corrections=0)
    with pytest.raises(openai.UnprocessableEntityError):
        run(
            lambda client: client.chat.completions.create(model="m", messages=HI, response_format=FORM),
            settings=settings,
        )
    assert ollama.count == 1
