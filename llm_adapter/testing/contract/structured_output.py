"""Structured outputs: JSON, a schema, and the SDK's own parsing."""

from __future__ import annotations

import json
from collections.abc import Generator
from functools import partial
from typing import Any

import jsonschema
import openai
from pydantic import BaseModel

from llm_adapter.testing.contract.case import (
    Broken,
    Case,
    Check,
    Inconclusive,
    Script,
    expect,
    unless_refused,
    whole_choice,
)
from llm_adapter.testing.contract.player import every, within

_REQUEST = "Return JSON for a person named Ana aged 30."
_PERSON: Any = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
_TEAM: Any = {
    "type": "object",
    "properties": {
        "lead": {"$ref": "#/$defs/person"},
        "size": {"type": "string", "enum": ["small", "large"]},
    },
    "required": ["lead", "size"],
    "additionalProperties": False,
    "$defs": {"person": _PERSON},
}


class Person(BaseModel):
    """Somebody."""

    name: str
    age: int


def json_object(case: Case) -> Script:
    """response_format json_object gives a JSON object."""
    asked = partial(case.ask, _REQUEST, response_format={"type": "json_object"})
    text = _reply_text((yield from unless_refused(asked, "response_format")))
    expect(isinstance(_json_value(text), dict), "a JSON object", repr(text))


def _schema_reply(schema: Any, case: Case) -> Script:
    """response_format json_schema gives what the schema says."""
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}
    asked = partial(case.ask, _REQUEST, response_format=form)
    text = _reply_text((yield from unless_refused(asked, "response_format")))
    try:
        jsonschema.validate(_json_value(text), schema)
    except jsonschema.ValidationError as error:
        raise Broken("a reply that fits the schema", f"{text!r} ({error.message})") from None


def parse(case: Case) -> Script:
    """The SDK's .parse() gives an object of the class."""
    yield from _parsed_reply(_parse_call(case.client.chat.completions.parse, case))


def streamed(case: Case) -> Script:
    """The SDK's .stream() parses what it put together."""
    manager = case.client.chat.completions.stream(**case.arguments(_REQUEST), response_format=Person)
    yield from _parsed_reply(within(manager, _final_completion))


def _parse_call(parse: Any, case: Case) -> Generator[Any, Any, Any]:
    return (yield parse(**case.arguments(_REQUEST), response_format=Person))


def _parsed_reply(asking: Generator[Any, Any, Any]) -> Script:
    """What comes of asking holds an object of the class."""
    try:
        got = yield from asking
    except openai.LengthFinishReasonError:
        raise Inconclusive("the reply was cut at the limit of tokens") from None
    except ValueError as error:  # pydantic's, or of JSON that is none
        raise Broken("a reply that fits the class", error) from None
    _whole_message(got)
    parsed = got.choices[0].message.parsed
    expect(isinstance(parsed, Person), "an object of the class in `message.parsed`", repr(parsed))


def _final_completion(stream: Any) -> Generator[Any, Any, Any]:
    yield every(stream)
    return (yield stream.get_final_completion())


def _reply_text(completion: Any) -> str:
    return _whole_message(completion).content or ""


def _whole_message(completion: Any) -> Any:
    """The message, if the model neither refused nor was cut off."""
    message = whole_choice(completion).message
    if getattr(message, "refusal", None):
        raise Inconclusive(f"the model refused: {message.refusal}")
    return message


def _json_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise Broken("JSON", repr(text)) from None


_ENFORCE = "decode by the schema's grammar, or check the reply and ask again: a wrong one surfaces far away otherwise"
_JSON = ("json",)
CHECKS = (
    Check("json_object", json_object, "hand it on, or as a schema of any object", _JSON),
    Check("json_schema", partial(_schema_reply, _PERSON), _ENFORCE, _JSON),
    Check("json_schema_refs", partial(_schema_reply, _TEAM), f"resolve `$ref`; {_ENFORCE}", _JSON),
    Check("parse", parse, _ENFORCE, _JSON),
    Check("stream_parse", streamed, _ENFORCE, _JSON),
)
