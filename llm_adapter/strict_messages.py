"""What OpenAI refuses in a call's messages that local servers take: `strictness` says it. No IO.

The words are OpenAI's own, as users report them: see `strictness` for the sources.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from llm_adapter.provider import Json, Rejected

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_TYPES: dict[type, str] = {
    str: "a string",
    dict: "an object",
    list: "an array",
    bool: "a boolean",
    int: "an integer",
    float: "a decimal",
    type(None): "null",
}


def message_refusals(body: Json) -> Iterator[Rejected]:
    """The refusals of the messages, in their order."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return
    if not messages:
        yield empty("messages")
    unanswered: dict[str, None] = {}  # the ids of the calls that the messages before have made
    for place, message in enumerate(messages):
        if not isinstance(message, dict):
            yield wrong_type(f"messages[{place}]", "an object", message)
            continue
        yield from _order(message, place, unanswered)
        yield from _role(message, f"messages[{place}]")
        yield from _content(message, f"messages[{place}]")
        yield from _calls(message, f"messages[{place}]")
        unanswered.update(dict.fromkeys(_ids(message)))
    yield from _left(unanswered, len(messages))
    yield from _without_json(body, messages)


def empty(name: str) -> Rejected:
    message = f"Invalid '{name}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    return Rejected(message, param=name, code="empty_array")


def wrong_type(name: str, wanted: str, value: Any) -> Rejected:
    given = _TYPES.get(type(value), "something else")
    message = f"Invalid type for '{name}': expected {wanted}, but got {given} instead."
    return Rejected(message, param=name, code="invalid_type")


def missing(name: str) -> Rejected:
    return Rejected(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def _order(message: Json, place: int, unanswered: dict[str, None]) -> Iterator[Rejected]:
    """A tool's result comes after its call, and before anything else."""
    answered = message.get("tool_call_id")
    if message.get("role") != "tool":
        yield from _left(unanswered, place)
        unanswered.clear()
    elif not isinstance(answered, str) or not answered:
        yield Rejected(
            "Missing parameter 'tool_call_id': messages with role 'tool' must have a 'tool_call_id'.",
            param=f"messages.[{place}].tool_call_id",
        )
    elif answered not in unanswered:
        yield Rejected(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
            "'tool_calls'.",
            param=f"messages.[{place}].role",
        )
    else:
        del unanswered[answered]


def _left(unanswered: dict[str, None], place: int) -> Iterator[Rejected]:
    if unanswered:
        yield Rejected(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(unanswered)}",
            param=f"messages.[{place}].role",
        )


def _role(message: Json, where: str) -> Iterator[Rejected]:
    role = message.get("role")
    if role is None:
        yield missing(f"{where}.role")
    elif role not in _ROLES:
        supported = ", ".join(f"'{one}'" for one in _ROLES[:-1])
        yield Rejected(
            f"Invalid value: '{role}'. Supported values are: {supported}, and '{_ROLES[-1]}'.",
            param=f"{where}.role",
            code="invalid_value",
        )


def _content(message: Json, where: str) -> Iterator[Rejected]:
    content = message.get("content")
    if not isinstance(content, list):
        return
    for place, part in enumerate(content):
        image = part.get("image_url") if isinstance(part, dict) else None
        if isinstance(image, str):  # P20: Ollama takes the address alone
            yield wrong_type(f"{where}.content[{place}].image_url", "an object", image)


def _calls(message: Json, where: str) -> Iterator[Rejected]:
    calls = message.get("tool_calls")
    if calls == []:
        yield empty(f"{where}.tool_calls")
    for place, call in enumerate(calls if isinstance(calls, list) else ()):
        if not isinstance(call, dict):
            continue
        name = f"{where}.tool_calls[{place}]"
        for needed in ("id", "type"):  # Ollama's native calls have neither
            if not call.get(needed):
                yield missing(f"{name}.{needed}")
        match call.get("function"):
            case {"arguments": dict(arguments)}:  # as Ollama's native API has them
                yield wrong_type(f"{name}.function.arguments", "a string", arguments)


def _ids(message: Json) -> Iterator[str]:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict) and isinstance(call.get("id"), str):
            yield call["id"]


def _without_json(body: Json, messages: list[Any]) -> Iterator[Rejected]:
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_object" and "json" not in str(messages).lower():
        yield Rejected(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            param="messages",
        )
