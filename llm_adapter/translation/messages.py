"""A call's messages, as every server but OpenAI's wants them: at least one, one system message at their head, no names.

Chat templates read the first system message alone, or allow no second one: on llama.cpp of 2026-10 a prompt has the
same number of tokens with the second as without it. A system message further on stays where it is.

Only OpenAI shows its models who sent a message (`name`). Ollama has no such field; llama.cpp and vLLM take it, and
hardly a chat template reads it. Where it tells several speakers of one role apart, it is written into the text.

Agents in a chat of theirs speak as assistants with names. OpenAI's models answer the last of them; those of Ollama and
llama.cpp go on with an assistant's last message, and had nothing to add to what another agent had said.
"""

from __future__ import annotations

import json
from collections import ChainMap
from itertools import takewhile
from typing import Any

from llm_adapter.provider import Call, Json, Rejected, parsed_json

_SPEAKING = {"user": "user", "assistant": "assistant", "system": "system", "developer": "system"}


def messages_of(body: Json) -> list[Any]:
    """The messages of a call. Raises `Rejected` where there are none: llama.cpp would answer all the same."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Rejected("`messages` must be a list with at least one message", param="messages", code="invalid_value")
    return messages


def with_speakers(messages: list[Any], call: Call) -> list[Any]:
    """The messages, with "name: " before the text of those whose role has several speakers, a nameless one included.

    A name that tells nobody apart stays where it is. The report says which of the two was done. A tool's name is its
    function's, and is no speaker. What a named assistant said last is a user's, for the model has to answer it.
    Raises `Rejected` for a name that is no text.
    """
    if not has_speakers(messages):
        return messages
    speakers: dict[str, set[str]] = {}
    for place, message in enumerate(messages):
        if role := _speaking_role(message):
            speakers.setdefault(role, set()).add(_speaker(message, place))
    several = {role for role, names in speakers.items() if len(names) > 1}
    if (text := begun_reply(messages)) and (name := messages[-1].get("name")):
        messages = [*messages[:-1], {"role": "user", "content": text, "name": name}]
        several |= {"user", "assistant"}  # another assistant answers
    return [_with_speaker(one, call, several) for one in messages]


def has_speakers(messages: Any) -> bool:
    """Whether a message has the name of who speaks."""
    return isinstance(messages, list) and any(_speaking_role(one) and one.get("name") for one in messages)


def with_one_system_message(messages: list[Any]) -> list[Any]:
    """The messages, with the leading system messages joined to one, which keeps their other fields."""
    leading = list(takewhile(_is_system, messages))
    return messages if len(leading) < 2 else [_as_one(leading), *messages[len(leading) :]]


def begun_reply(messages: list[Any]) -> str:
    """The text of an assistant's message that ends a call, and that the model goes on with; "" for none."""
    last = messages[-1]
    return joined_text(last["content"]) or "" if _is_said(last) else ""


def with_one_begun_reply(messages: list[Any]) -> list[Any]:
    """The messages, with what the assistant said at their end, and called no tool, joined to one.

    Agents that speak in turn leave several there, and llama.cpp's server refuses more than one.
    """
    ending = list(takewhile(_is_said, reversed(messages)))[::-1]
    return messages if len(ending) < 2 else [*messages[: -len(ending)], _as_one(ending)]


def note_begun_reply(messages: list[Any], call: Call) -> None:
    """The report says that a reply goes on with the call's last message, which OpenAI's models answer with a new one.

    An agent that is asked again right after its own words has mostly nothing to add to them: its reply is empty.
    """
    if begun_reply(messages):
        call.report.note("changed", "messages: the reply goes on with the last one")


def _as_one(messages: list[Json]) -> Json:
    content = "\n\n".join(str(joined_text(one["content"])) for one in messages)
    return {**ChainMap(*messages), "content": content}


def joined_text(content: Any) -> str | None:
    """A content's text, its parts joined by a line break, as llama.cpp and vLLM join them; None for more than text."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return None
    texts = [_part_text(part) for part in content]
    return "\n".join(map(str, texts)) if all(isinstance(one, str) for one in texts) else None


def _speaking_role(message: Any) -> str:
    """The role whose speakers a name tells apart; a developer's message becomes a system message."""
    role = message.get("role") if isinstance(message, dict) else None
    return _SPEAKING.get(str(role), "")


def _speaker(message: Json, place: int) -> str:
    name = message.get("name") or ""
    if not isinstance(name, str):
        raise Rejected(f"messages[{place}]: `name` must be a string", param="messages", code="invalid_type")
    return name


def _with_speaker(message: Any, call: Call, several: set[str]) -> Any:
    role = _speaking_role(message)
    if not role or not message.get("name"):
        return message
    content = _content_with_speaker(message["name"], message.get("content")) if role in several else None
    if content is None:
        call.report.note("ignored", "messages.name")
        return message
    call.report.note("emulated", "messages.name")
    return {**{key: value for key, value in message.items() if key != "name"}, "content": content}


def _content_with_speaker(name: str, content: Any) -> Any:
    """The content that begins its text with the speaker's name; None where there is nothing said."""
    if isinstance(content, str):
        return f"{name}: {content}" if content else None
    if not isinstance(content, list) or not content:
        return None
    place = next((place for place, part in enumerate(content) if isinstance(_part_text(part), str)), None)
    if place is None:
        return [{"type": "text", "text": f"{name}:"}, *content]
    part = content[place]
    key = "refusal" if part["type"] == "refusal" else "text"
    return [*content[:place], {**part, key: f"{name}: {part[key]}"}, *content[place + 1 :]]


def with_object_arguments(messages: list[Any], call: Call) -> list[Any]:
    """The messages, with arguments of tool calls that are the JSON of an object.

    OpenAI takes any text there: "" from a server whose model called a tool without parameters, and JSON that a model
    broke off, which agents answer with an error message. Other servers read it for their templates, and fail: Ollama
    and vLLM with 400, llama.cpp with 500. So "" is `{}`, and what is no object reaches the model as it was written, in
    `{"arguments": "..."}`.
    """
    return [_with_object_arguments(one, call) for one in messages]


def _with_object_arguments(message: Any, call: Call) -> Any:
    match message:
        case {"role": "assistant", "tool_calls": [*calls]}:
            changed = [_with_function(one, call) for one in calls]
            return message if changed == calls else {**message, "tool_calls": changed}
        case {"role": "assistant", "function_call": dict() as function}:
            return {**message, "function_call": _with_function({"function": function}, call)["function"]}
        case _:
            return message


def _with_function(tool_call: Any, call: Call) -> Any:
    match tool_call:
        case {"function": {"arguments": str() as text}} if isinstance(_json(text), dict):
            return tool_call
        case {"function": dict() as function}:
            arguments = json.dumps(_arguments(function.get("arguments"), call), ensure_ascii=False)
            return {**tool_call, "function": {**function, "arguments": arguments}}
        case _:
            return tool_call


def _arguments(given: Any, call: Call) -> Json:
    if isinstance(given, dict):
        return given
    if given is None or (isinstance(given, str) and given.strip() in ("", "null")):
        return {}
    call.report.note("changed", "messages")
    return {"arguments": given}


def _json(text: str) -> Any:
    """The JSON of a text; None for anything else."""
    try:
        return parsed_json(text)
    except ValueError:
        return None


def _is_system(message: Any) -> bool:
    return _is_text_of("system", message)


def _is_said(message: Any) -> bool:
    return _is_text_of("assistant", message) and not message.get("tool_calls")


def _is_text_of(role: str, message: Any) -> bool:
    if not isinstance(message, dict) or message.get("role") != role:
        return False
    return joined_text(message.get("content")) is not None


def _part_text(part: Any) -> Any:
    match part:
        case {"type": "text", "text": text} | {"type": "refusal", "refusal": text}:
            return text
        case _:
            return None
