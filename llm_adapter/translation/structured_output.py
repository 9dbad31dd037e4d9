"""Structured outputs: the schema is sent to be enforced, and the reply is held against it all the same.

Not every server enforces: Ollama Cloud and MLX models accept a schema and ignore it, 0.24 loses it with thinking off.
A reply that breaks the schema is sent back once, with what is wrong; then it is an error that carries the raw text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from llm_adapter.provider import Call, Json, Rejected, parsed_json
from llm_adapter.translation.grammar_schema import Grammar, normalised
from llm_adapter.translation.json_schema import faults

ANY_OBJECT: Json = {"type": "object"}
_OPENING = re.compile(r"\s*```(?:json)?\s*", re.IGNORECASE)
_CLOSING = re.compile(r"\s*```\s*\Z")
_CLOSING_BEGUN = re.compile(r"\s*(?:`{1,2}|```\s*)?\Z")


@dataclass(frozen=True)
class ReplyForm:
    """The form that a reply must have."""

    schema: Json
    described: Json = field(default_factory=lambda: {"name": "reply"})  # what else the caller said of it
    param: str = "response_format"  # where the caller gave it

    def format(self, call: Call, grammar: Grammar) -> Any:
        """Ollama's `format`."""
        return "json" if self.schema == ANY_OBJECT else self._normalised(call, grammar)

    def response_format(self, call: Call, grammar: Grammar) -> Json:
        """OpenAI's, without what a grammar cannot hold."""
        return {"type": "json_schema", "json_schema": {**self.described, "schema": self._normalised(call, grammar)}}

    def in_its_field(self, call: Call, body: Json, grammar: Grammar) -> Json:
        """The body with the schema in the server's own field where the caller gave it, as a grammar holds it."""
        schema, given = self._normalised(call, grammar), body[self.param]
        if self.param == "structured_outputs":
            schema = {**given, "json": schema}
        elif self.param == "response_format":
            schema = {**given, "json_schema": {**given["json_schema"], "schema": schema}}
        return body if schema == given else {**body, self.param: schema}

    def _normalised(self, call: Call, grammar: Grammar) -> Any:
        schema = normalised(self.schema, grammar)
        if schema.taken_out:
            call.report.note("changed", self.param)
        return schema.schema

    def faults(self, text: str) -> list[str]:
        """What is wrong with a reply, or nothing."""
        try:
            value = parsed_json(text)
        except ValueError as error:
            return [f"the reply is not JSON: {error}"]
        return faults(self.schema, value)


def reply_form(call: Call, *, others: bool = False, fields: Sequence[str] = ()) -> ReplyForm | None:
    """The form that `response_format` asks for, or None for text. Raises `Rejected`.

    others: whether the server has forms of its own, which it judges itself. fields: its own fields for a schema.
    """
    match call.body.get("response_format"):
        case None | {"type": "text"}:
            return form_in_field(call.body, fields)
        case {"type": "json_object", "schema": dict() as schema} if schema:  # llama.cpp's and Together's form
            return ReplyForm(schema)
        case {"type": "json_object"} as given if given.get("schema") in (None, {}) or given["schema"] is True:
            return ReplyForm(ANY_OBJECT)
        case {"type": "json_schema", "json_schema": {"schema": dict() as schema} as given}:
            return ReplyForm(schema, {name: value for name, value in given.items() if name != "schema"})
        case {"type": "json_schema", "schema": dict() as schema} if "json_schema" not in call.body["response_format"]:
            return ReplyForm(schema)  # as llama.cpp takes it, and the Responses API
        case {"type": str() as kind} if others and kind not in ("json_object", "json_schema"):
            return None
        case _:
            raise Rejected(
                "`response_format` must be text, json_object, or json_schema with a schema; a schema is an object",
                param="response_format",
                code="invalid_value",
            )


def form_in_field(body: Json, fields: Sequence[str]) -> ReplyForm | None:
    """The form that one of a server's own fields asks for: Ollama's `format`, llama.cpp's `json_schema`, vLLM's."""
    for name in fields:
        match body.get(name):
            case "json" if name == "format":
                return ReplyForm(ANY_OBJECT, param=name)
            case {"json": dict() as schema} if name == "structured_outputs":
                return ReplyForm(schema, param=name)
            case {"type": "json_schema", "json_schema": {"schema": dict() as schema}} if name == "response_format":
                return ReplyForm(schema, param=name)
            case dict() as schema if name not in ("structured_outputs", "response_format"):
                return ReplyForm(schema, param=name)
    return None


def without_fence(text: str) -> str:
    """The text inside a Markdown fence, where a model that was not constrained put one; or the text.

    A fence that is never closed is left out, too: the reply was cut, or the fence was a stop sequence.
    """
    return Unfenced().feed(text, done=True)


class Unfenced:
    """A text without the Markdown fence around it, while it comes in pieces: what may be the fence is held back."""

    def __init__(self) -> None:
        self._held = ""
        self._fenced: bool | None = None  # None: not known yet
        self._begun = False  # something has come that is not the fence

    def feed(self, piece: str, *, done: bool) -> str:
        """What may leave of the text so far. done: whether this is its last piece."""
        self._held += piece
        if self._fenced is None:
            if not done and "```json".startswith(self._held.lstrip().lower()):
                return ""
            opening = _OPENING.match(self._held)
            self._fenced, self._held = opening is not None, self._held[opening.end() if opening else 0 :]
        if not self._fenced:
            out, self._held = self._held, ""
            return out
        if not self._begun:
            self._held = self._held.lstrip()
            self._begun = bool(self._held)
        end = (_CLOSING if done else _CLOSING_BEGUN).search(self._held)
        place = end.start() if end else len(self._held)
        out, self._held = self._held[:place], self._held[place:]
        return out


def request_for_form(message: Json) -> list[Json]:
    """The turns that ask for what was said in the form that the reply must have; none where nothing was said."""
    said = message.get("content")
    words = "Give that reply as JSON in the form that was asked for, and nothing else."
    return [{"role": "assistant", "content": said}, {"role": "user", "content": words}] if said else []


def correction(message: Json, found: list[str]) -> list[Json]:
    """The turns that ask for a reply once more: what was said, and what is wrong with it.

    A call of a tool is answered by its result: templates know no other way to go on.
    """
    said = {key: message[key] for key in ("content", "tool_calls") if message.get(key)}
    problem = f"That reply cannot be used: {'; '.join(found)}. Reply again, with the corrected JSON and nothing else."
    calls = message.get("tool_calls") or ()
    results = [{"role": "tool", "tool_call_id": one["id"], "content": problem} for one in calls]
    return [{"role": "assistant", "content": "", **said}, *(results or [{"role": "user", "content": problem}])]
