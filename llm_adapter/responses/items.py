"""Input items  →  chat messages.

Source: openai-python types/responses/response_input_item_param.py, v3.52.0; ollama openai/responses.go
FromResponsesRequest, v0.24.0, which skips images by `file_id` and forgets reasoning in plain text.
Rule: a part becomes something the model sees, or it is refused by its type. An item that only OpenAI can make sense of,
because its own tools left it behind, is refused or left out, as `unsupported` in the settings says.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from llm_adapter.provider import Call, Json, Rejected
from llm_adapter.translation.parameters import refuses, unsupported

UNDERSTOOD = ("message", "function_call", "function_call_output", "reasoning", "item_reference")
_PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
_ROLES = ("user", "assistant", "system", "developer")


def item_id(kind: str, call_id: str, place: int) -> str:
    """The id of a call's item; places count the input first, then the output."""
    return f"{_PREFIXES.get(kind, 'item')}_{call_id}{place:04d}"


def response_id(item: str) -> str:
    """The id of the response that an item of that id came with."""
    return f"resp_{item.partition('_')[2][:-4]}"


def items(call: Call, given: Any, param: str = "input") -> list[Json]:
    """The items of a call in their full form, each with an id, as they are stored and listed. Raises `Rejected`."""
    match given:
        case None:
            return []
        case str() as text:
            given = [{"role": "user", "content": text}]
        case list() | tuple():
            pass
        case _:
            raise Rejected(f"`{param}` must be a string or a list of items", param=param, code="invalid_type")
    return [_item(call, one, place, f"{param}[{place}]", param) for place, one in enumerate(given)]


def _item(call: Call, given: Any, place: int, where: str, param: str) -> Json:
    kind = kind_of(given)
    if not isinstance(kind, str):
        raise Rejected(f"{where}: an item is an object with a type or a role", param=param, code="invalid_value")
    item = {**given, "type": kind}
    if kind == "item_reference":
        return item
    if kind == "message":
        item = _message(item, where, param)
    return {**item, "id": item.get("id") or item_id(kind, call.id, place)}


def readable_items(call: Call, history: list[Json], param: str = "input", earlier: int = 0) -> list[Json]:
    """The items that a model can be shown: what only OpenAI can make sense of is left out. Raises `Rejected`.

    A custom tool's call and its output are kept where the settings allow it: as a function's, with one text.
    earlier: how many of the items are from earlier turns.
    """
    readable = []
    for place, item in enumerate(history):
        kind = item["type"]
        if kind in UNDERSTOOD and kind != "item_reference":
            readable.append(item)
        elif not refuses(call, param) and (function := _as_function_item(item)) is not None:
            call.report.note("emulated", f"{param}.{kind}")
            readable.append(function)
        else:
            where = f"{param}[{place - earlier}]" if place >= earlier else "an earlier turn"
            unsupported(call, param, f"{where}: {_why_unreadable(call, item)}", part=f"{param}.{kind}")
    return readable


def _as_function_item(item: Json) -> Json | None:
    match item:
        case {"type": "custom_tool_call", "input": str() as text}:
            return {**item, "type": "function_call", "arguments": json.dumps({"input": text}, ensure_ascii=False)}
        case {"type": "custom_tool_call_output"}:
            return {**item, "type": "function_call_output"}
        case _:
            return None


def _why_unreadable(call: Call, item: Json) -> str:
    if item["type"] == "item_reference":
        return f"the item {item.get('id')!r} is not known here: send the item itself instead of a reference"
    return (
        f"an item of type {item['type']!r} is not available on provider {call.report.provider!r}: hosted tools, and "
        "what they leave behind, are OpenAI's"
    )


def kind_of(given: Any) -> Any:
    """An item's type. A message may leave it out, and so may a reference."""
    if not isinstance(given, dict):
        return None
    return given.get("type") or ("message" if "role" in given else "item_reference" if "id" in given else None)


def _message(item: Json, where: str, param: str) -> Json:
    role = item.get("role")
    if role not in _ROLES:
        raise Rejected(f"{where}: a message of role {role!r} is unknown", param=param, code="invalid_value")
    content = item.get("content")
    if isinstance(content, str):
        kind = "output_text" if role == "assistant" else "input_text"
        more: Json = {"annotations": []} if kind == "output_text" else {}
        content = [{"type": kind, "text": content, **more}]
    return {**item, "content": content, "status": item.get("status") or "completed"}


def messages(call: Call, instructions: Any, history: list[Json], earlier: int = 0) -> list[Json]:
    """The chat messages of a whole history, of which so many items are from earlier turns. Raises `Rejected`."""
    told = _Messages(call)
    if not isinstance(instructions, str | None):
        raise Rejected("`instructions` must be a string", param="instructions", code="invalid_type")
    if instructions is not None:
        told.messages.append({"role": "system", "content": instructions})
    for item in _with_outputs_beside_calls(readable_items(call, history, earlier=earlier)):
        told.add(item)
    if not history:
        raise Rejected("`input` is required", param="input", code="missing_required_parameter")
    return told.messages


@dataclass
class _Calls:
    """Where the items stand that an assistant said and called in one go, and the outputs of those calls."""

    places: list[int]
    outputs: list[int]

    @property
    def are_apart(self) -> bool:
        after = self.places[-1] + 1
        return self.outputs != list(range(after, after + len(self.outputs)))


def _with_outputs_beside_calls(history: list[Json]) -> list[Json]:
    """The items, with each call beside its output: two writers of one conversation come between each other's.

    Servers refuse anything else. The calls move to where their last output is: what was said last stays last.
    """
    groups: list[_Calls] = []
    by_call: dict[str, _Calls] = {}
    for place, item in enumerate(history):
        if item["type"] in ("reasoning", "function_call") or item.get("role") == "assistant":
            if not groups or groups[-1].places[-1] != place - 1:
                groups.append(_Calls([], []))
            groups[-1].places.append(place)
            if item["type"] == "function_call":
                by_call[str(item.get("call_id"))] = groups[-1]
        elif item["type"] == "function_call_output" and (calls := by_call.get(str(item.get("call_id")))):
            calls.outputs.append(place)
    apart = {calls.outputs[-1]: calls for calls in groups if calls.are_apart}
    moving = {place for calls in apart.values() for place in (*calls.places, *calls.outputs)}
    ordered: list[Json] = []
    for place, item in enumerate(history):
        if place in apart:
            ordered += [history[one] for one in (*apart[place].places, *apart[place].outputs)]
        elif place not in moving:
            ordered.append(item)
    return ordered


class _Messages:
    """Chat messages under construction: what an assistant thought, said and called in one go is one message."""

    def __init__(self, call: Call) -> None:
        self.messages: list[Json] = []
        self._call = call
        self._thoughts: list[str] = []
        self._called: set[str] = set()

    def add(self, item: Json) -> None:
        match item:
            case {"type": "reasoning"}:
                self._thoughts += self._thought(item)
            case {"type": "message", "role": "assistant", "content": content}:
                message = self._assistant(has="content")
                message |= {"content": self._content(content, item), **_speaker(item)}
            case {"type": "message", "role": role, "content": content}:
                self._thoughts = []
                self.messages.append({"role": role, "content": self._content(content, item), **_speaker(item)})
            case {"type": "function_call", "call_id": str() as call_id, "name": str() as name}:
                self._called.add(call_id)
                function = {"name": name, "arguments": item.get("arguments") or "{}"}
                called = {"id": call_id, "type": "function", "function": function}
                self._assistant().setdefault("tool_calls", []).append(called)
            case {"type": "function_call_output", "call_id": str() as call_id}:
                self._thoughts = []
                self.messages.append({"role": "tool", "tool_call_id": call_id, "content": self._output(item)})
            case _:
                raise Rejected(
                    f"an item of type {item.get('type')!r} needs more than it has", param="input", code="invalid_value"
                )

    def _assistant(self, has: str = "") -> Json:
        """The assistant's message that goes on, or the next one: it begins with a thought, and says one thing."""
        last = self.messages[-1] if self.messages else {}
        if last.get("role") != "assistant" or self._thoughts or last.get(has) is not None:
            last = {"role": "assistant", "content": None}
            if self._thoughts:
                # Both names under which servers look for it.
                last["reasoning"] = last["reasoning_content"] = "\n".join(self._thoughts)
                self._thoughts = []
            self.messages.append(last)
        return last

    def _output(self, item: Json) -> Any:
        if item["call_id"] not in self._called:
            # As OpenAI does: the model would be told the result of something it never asked for.
            raise Rejected(
                f"No tool call found for function call output with call_id {item['call_id']}.", param="input"
            )
        return self._content(item.get("output"), item)

    def _content(self, content: Any, item: Json) -> Any:
        if isinstance(content, str):
            return content
        if not isinstance(content, list):
            raise Rejected(
                f"the content of a {item['type']} must be a string or a list of parts",
                param="input",
                code="invalid_type",
            )
        parts = [self._part(part) for part in content]
        return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts

    def _part(self, part: Any) -> Json:
        match part:
            case {"type": "input_text" | "output_text" | "text", "text": str() as text}:
                return {"type": "text", "text": text}
            case {"type": "refusal", "refusal": str() as text}:
                return {"type": "text", "text": text}
            case {"type": "input_image", "image_url": str() as url}:
                detail = {"detail": part["detail"]} if part.get("detail") else {}
                return {"type": "image_url", "image_url": {"url": url, **detail}}
            case {"type": "input_audio", "input_audio": dict() as audio}:
                return {"type": "input_audio", "input_audio": audio}
            case {"type": str() as kind}:
                where = f"on provider {self._call.report.provider!r}"
                hint = "; files are kept at OpenAI: give a data URL" if kind == "input_image" else ""
                raise Rejected(
                    f"a content part of type {kind!r} is not available {where}{hint}",
                    param="input",
                    code="unsupported_value",
                )
            case _:
                raise Rejected("a content part is an object with a type", param="input", code="invalid_value")

    def _thought(self, item: Json) -> list[str]:
        """What a reasoning item says in plain text. What OpenAI has encrypted, OpenAI alone can read."""
        parts = item.get("content") or item.get("summary") or []
        texts = [part["text"] for part in parts if isinstance(part, dict) and part.get("text")]
        if not texts and item.get("encrypted_content"):
            self._call.report.note("left_out", "reasoning.encrypted_content")
        return texts


def _speaker(item: Json) -> Json:
    """The name of who speaks. This API has none, but call sites that come from chat give it; chat's endpoint judges."""
    return {"name": item["name"]} if item.get("name") else {}
