"""What OpenAI itself refuses of a call that local servers take: the way back is the stricter one . No IO.

Only what OpenAI has answered is here, in its own words, with its `param` and `code`. Sources: the errors that users
report (open-webui#14520, langchain_dart#712, llama_index#10493, promptflow#3946, CopilotKit#529, griptape#1915,
gollm#33, langchaingo#1355, outlines#844, fast-agent#143), and the docstrings of the SDK's parameter types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple, TypeAlias, get_type_hints

from llm_adapter.provider import Json, Rejected

Rule: TypeAlias = Callable[[Json], Iterator[Rejected]]

# o1, o3-mini, o4-mini-2025-04-16, gpt-5-nano, gpt-5.1; not gpt-5-chat-latest, which does not reason.
_REASONING = re.compile(r"(o[134]|gpt-5(\.\d+)?)(?!.*-chat)(-|$)")
# Those that always reason: from gpt-5.1 on, it depends on the effort what is taken.
_ALWAYS_REASONING = re.compile(r"(o[134]|gpt-5)(?!.*-chat)(-|$)")
_WITHOUT_STOP = re.compile(r"(o3|o4-mini)(?!-mini)(-20|$)")  # CompletionCreateParams.stop: "o3 and o4-mini"
_NEVER_REASONING = re.compile(r"(gpt-4|gpt-3\.5|chatgpt-4o)")

# Source: the docstrings of openai/types/chat/completion_create_params.py, v3.52.0.
_RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "frequency_penalty": (-2, 2),
    "presence_penalty": (-2, 2),
}
_LONGEST_ARRAYS = {"stop": 4}
# What means something together with another parameter alone.
_NEEDS = {
    "tool_choice": "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
    "parallel_tool_calls": (
        "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are specified."
    ),
}
_REQUIRED = {"/chat/completions": "messages", "/embeddings": "input"}


_NO_MODEL = "you must provide a model parameter"


def refusals(path: str, body: Json) -> list[Rejected]:
    """What OpenAI would refuse of a call, the first of which is what it would answer; empty when it is taken.

    path: below /v1, "/chat/completions". body: the call's arguments with `extra_body` merged in.
    """
    return [refusal for rule in _RULES.get(path, ()) for refusal in rule(body)]


def refused_argument(refusal: Rejected) -> str:
    """The argument of the call that a refusal is about: OpenAI names an unknown one in its message alone."""
    param = refusal.error["param"]
    if isinstance(param, str):
        return re.split(r"[.\[]", param, maxsplit=1)[0]
    name = str(refusal).rpartition(": ")[2]
    return "model" if name == _NO_MODEL else name


@cache
def known_arguments(path: str) -> frozenset[str]:
    """The arguments that OpenAI knows: the fields of the SDK's own types; empty for a path that has no rules.

    The types are read when they are first asked for.
    """
    from openai.types import completion_create_params, embedding_create_params
    from openai.types.chat import completion_create_params as chat_create_params
    from openai.types.responses import response_create_params

    kinds: Mapping[str, Any] = {
        "/chat/completions": chat_create_params.CompletionCreateParamsStreaming,
        "/completions": completion_create_params.CompletionCreateParamsStreaming,
        "/embeddings": embedding_create_params.EmbeddingCreateParams,
        "/responses": response_create_params.ResponseCreateParamsStreaming,
    }
    return frozenset(get_type_hints(kinds[path])) if path in kinds else frozenset()


def _unknown_arguments(path: str) -> Rule:
    def rule(body: Json) -> Iterator[Rejected]:
        for name in body:
            if name not in known_arguments(path):
                yield _unrecognized(name)

    return rule


def _unrecognized(name: str) -> Rejected:
    return Rejected(f"Unrecognized request argument supplied: {name}")


def _unknown_response_parameters(body: Json) -> Iterator[Rejected]:
    for name in body:
        if name not in known_arguments("/responses"):
            yield Rejected(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def _missing_parameters(path: str) -> Rule:
    def rule(body: Json) -> Iterator[Rejected]:
        if not body.get("model"):
            yield Rejected(_NO_MODEL)
        needed = _REQUIRED.get(path)
        if needed is not None and body.get(needed) is None:
            yield Rejected(f"Missing required parameter: '{needed}'.", param=needed, code="missing_required_parameter")

    return rule


def _out_of_range(body: Json) -> Iterator[Rejected]:
    for name, (least, most) in _RANGES.items():
        value = body.get(name)
        if not isinstance(value, (int, float)) or least <= value <= most:
            continue
        way, sign, limit = ("below_min", ">=", least) if value < least else ("above_max", "<=", most)
        message = f"Invalid '{name}': decimal {way.replace('_min', ' minimum').replace('_max', ' maximum')} value."
        yield Rejected(
            f"{message} Expected a value {sign} {limit}, but got {value} instead.",
            param=name,
            code=f"decimal_{way}_value",
        )


def _arrays_too_long(body: Json) -> Iterator[Rejected]:
    for name, most in _LONGEST_ARRAYS.items():
        value = body.get(name)
        if isinstance(value, list) and len(value) > most:
            yield Rejected(
                f"Invalid '{name}': array too long. Expected an array with maximum length {most}, "
                f"but got an array with length {len(value)} instead.",
                param=name,
                code="array_above_max_length",
            )


def _needs_another_parameter(body: Json) -> Iterator[Rejected]:
    for name, message in _NEEDS.items():
        if body.get(name) is not None and not body.get("tools") and not body.get("functions"):
            yield Rejected(message, param=name)
    if body.get("stream_options") is not None and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        yield Rejected(message, param="stream_options")


def _of_reasoning_models(body: Json) -> Iterator[Rejected]:
    """What a reasoning model does not take, and what only a reasoning model takes."""
    model = str(body.get("model"))
    if _REASONING.match(model) and body.get("max_tokens") is not None:
        yield _unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
    if _NEVER_REASONING.match(model) and body.get("reasoning_effort") is not None:
        yield _unrecognized("reasoning_effort")
    if _WITHOUT_STOP.match(model) and body.get("stop") is not None:
        yield _unsupported("stop")
    if _ALWAYS_REASONING.match(model):
        yield from _sampling_refusals(body, model)


def _sampling_refusals(body: Json, model: str) -> Iterator[Rejected]:
    temperature = body.get("temperature")
    if temperature is not None and model.startswith("o3-mini"):  # pal-mcp-server#78: not even the default
        yield _unsupported("temperature")
    elif temperature not in (None, 1):
        yield Rejected(
            f"Unsupported value: 'temperature' does not support {temperature} with this model. "
            "Only the default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        )
    for name, harmless in (("top_p", None), ("presence_penalty", 0), ("frequency_penalty", 0)):
        if body.get(name) not in (None, harmless):
            yield _unsupported(name)


def _unsupported(name: str, instead: str = "") -> Rejected:
    message = f"Unsupported parameter: '{name}' is not supported with this model.{instead}"
    return Rejected(message, param=name, code="unsupported_parameter")


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
        yield from _order_refusals(message, place, unanswered)
        yield from _role_refusals(message, f"messages[{place}]")
        yield from _content_refusals(message, f"messages[{place}]")
        yield from _tool_call_refusals(message, f"messages[{place}]")
        unanswered.update(dict.fromkeys(_tool_call_ids(message)))
    yield from _unanswered_calls(unanswered, len(messages))
    yield from _json_not_mentioned(body, messages)


def empty(name: str) -> Rejected:
    message = f"Invalid '{name}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    return Rejected(message, param=name, code="empty_array")


def wrong_type(name: str, wanted: str, value: Any) -> Rejected:
    given = _TYPES.get(type(value), "something else")
    message = f"Invalid type for '{name}': expected {wanted}, but got {given} instead."
    return Rejected(message, param=name, code="invalid_type")


def missing(name: str) -> Rejected:
    return Rejected(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def _order_refusals(message: Json, place: int, unanswered: dict[str, None]) -> Iterator[Rejected]:
    """A tool's result comes after its call, and before anything else."""
    answered = message.get("tool_call_id")
    if message.get("role") != "tool":
        yield from _unanswered_calls(unanswered, place)
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


def _unanswered_calls(unanswered: dict[str, None], place: int) -> Iterator[Rejected]:
    if unanswered:
        yield Rejected(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(unanswered)}",
            param=f"messages.[{place}].role",
        )


def _role_refusals(message: Json, where: str) -> Iterator[Rejected]:
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


def _content_refusals(message: Json, where: str) -> Iterator[Rejected]:
    content = message.get("content")
    if not isinstance(content, list):
        return
    for place, part in enumerate(content):
        image = part.get("image_url") if isinstance(part, dict) else None
        if isinstance(image, str):  # Ollama takes the address alone
            yield wrong_type(f"{where}.content[{place}].image_url", "an object", image)


def _tool_call_refusals(message: Json, where: str) -> Iterator[Rejected]:
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


def _tool_call_ids(message: Json) -> Iterator[str]:
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict) and isinstance(call.get("id"), str):
            yield call["id"]


def _json_not_mentioned(body: Json, messages: list[Any]) -> Iterator[Rejected]:
    wanted = body.get("response_format")
    if isinstance(wanted, dict) and wanted.get("type") == "json_object" and "json" not in str(messages).lower():
        yield Rejected(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'.",
            param="messages",
        )


# What OpenAI wants of a JSON schema that it is to hold strictly. Sources: openai/lib/_pydantic.py
# _ensure_strict_json_schema, v3.52.0, which makes pydantic's schemas strict; the words of the refusals are OpenAI's
# own, as users report them (outlines#844, xsai#202, mysql-mcp#5, fast-agent#143).
# Keywords that the strict subset lacks.
_NOT_PERMITTED = ("allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas")
_NAME = re.compile(r"[a-zA-Z0-9_-]+")


class Fault(NamedTuple):
    """Where and how a schema is not strict; `context` is the way to it, as OpenAI writes it."""

    context: tuple[str, ...]
    reason: str


def schema_faults(schema: Any, context: tuple[str, ...] = ()) -> Iterator[Fault]:
    """What OpenAI would refuse of a schema with `strict: true`: nested ones and `$defs` too."""
    if not isinstance(schema, dict):
        return
    for keyword in _NOT_PERMITTED:
        if keyword in schema:
            yield Fault(context, f"'{keyword}' is not permitted.")
    if "$ref" in schema and len(schema) > 1:
        others = ", ".join(repr(name) for name in schema if name != "$ref")
        yield Fault(context, f"$ref cannot have keywords {{{others}}}.")
    if _is_object(schema):
        yield from _object_faults(schema, context)
    for way, inner in _nested_schemas(schema):
        yield from schema_faults(inner, (*context, *way))


def _object_faults(schema: Json, context: tuple[str, ...]) -> Iterator[Fault]:
    if schema.get("additionalProperties") is not False:
        yield Fault(context, "'additionalProperties' is required to be supplied and to be false.")
    required = schema.get("required")
    left = [
        name for name in _subschemas(schema, "properties") if not isinstance(required, list) or name not in required
    ]
    if left:
        yield Fault(
            context,
            "'required' is required to be supplied and to be an array including every key in properties. "
            f"Missing '{left[0]}'.",
        )


def _is_object(schema: Json) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or "properties" in schema


def _nested_schemas(schema: Json) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The schemas in a schema, with the way to each."""
    for keyword in ("$defs", "definitions", "properties"):
        for name, inner in _subschemas(schema, keyword).items():
            yield (keyword, name), inner
    options = schema.get("anyOf")
    for place, inner in enumerate(options if isinstance(options, list) else ()):
        yield ("anyOf", str(place)), inner
    if isinstance(schema.get("items"), dict):
        yield ("items",), schema["items"]


def _subschemas(schema: Json, keyword: str) -> Json:
    found = schema.get(keyword)
    return found if isinstance(found, dict) else {}


def strict_schema(schema: Json) -> Json:
    """The schema as OpenAI takes it with `strict: true`: closed objects, and every property required.

    A property that was not required may be null now, which is OpenAI's way to say "optional": a reply has it, as null.
    """
    strict = {**schema}
    if "$ref" in strict:
        return {"$ref": strict["$ref"]}
    if _is_object(strict):
        known = strict.get("properties") or {}
        optional = set(known) - set(strict.get("required") or ())
        strict |= {"type": strict.get("type", "object"), "additionalProperties": False, "required": list(known)}
        strict["properties"] = {
            name: _nullable(strict_schema(one)) if name in optional else strict_schema(one)
            for name, one in known.items()
        }
    for keyword in ("$defs", "definitions"):
        if keyword in strict:
            strict[keyword] = {name: strict_schema(one) for name, one in strict[keyword].items()}
    if "anyOf" in strict:
        strict["anyOf"] = [strict_schema(one) for one in strict["anyOf"]]
    if isinstance(strict.get("items"), dict):
        strict["items"] = strict_schema(strict["items"])
    if strict.get("default", strict) is None:
        del strict["default"]  # `null` says nothing where the property is nullable
    return strict


def _nullable(schema: Json) -> Json:
    options = schema.get("anyOf")
    if isinstance(options, list):
        known = any(isinstance(one, dict) and one.get("type") == "null" for one in options)
        return schema if known else {**schema, "anyOf": [*options, {"type": "null"}]}
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema and "const" not in schema:
        return schema if kind == "null" else {**schema, "type": [kind, "null"]}
    return schema if isinstance(kind, list) and "null" in kind else {"anyOf": [schema, {"type": "null"}]}


def response_format_refusals(body: Json) -> Iterator[Rejected]:
    match body.get("response_format"):
        case {"type": "json_schema", "json_schema": dict(wanted)}:
            pass
        case _:
            return
    name = wanted.get("name")
    where = "response_format.json_schema"
    if not name:
        yield missing(f"{where}.name")
    elif not _NAME.fullmatch(str(name)):
        yield _misnamed(f"{where}.name")
    if wanted.get("strict"):
        for fault in schema_faults(wanted.get("schema")):
            yield Rejected(
                f"Invalid schema for response_format '{name}': {_fault_text(fault)}", param="response_format"
            )


def tool_refusals(body: Json) -> Iterator[Rejected]:
    tools = body.get("tools")
    if tools == []:
        yield empty("tools")
    for place, tool in enumerate(tools if isinstance(tools, list) else ()):
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict):
            yield from _function_refusals(function, f"tools[{place}].function")


def _function_refusals(function: Json, where: str) -> Iterator[Rejected]:
    name, schema = function.get("name"), function.get("parameters")
    if not name:
        yield missing(f"{where}.name")
    elif not _NAME.fullmatch(str(name)):
        yield _misnamed(f"{where}.name")
    faults = list(schema_faults(schema)) if function.get("strict") else []
    if isinstance(schema, dict) and schema.get("type") == "object" and "properties" not in schema:
        faults.insert(0, Fault((), "object schema missing properties."))
    for fault in faults:
        yield Rejected(
            f"Invalid schema for function '{name}': {_fault_text(fault)}",
            param=f"{where}.parameters",
            code="invalid_function_parameters",
        )


def _misnamed(where: str) -> Rejected:
    expected = "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
    message = f"Invalid '{where}': string does not match pattern. {expected}"
    return Rejected(message, param=where, code="invalid_value")


def _fault_text(fault: Fault) -> str:
    if fault.reason.startswith("$ref"):
        return f"context={fault.context}, {fault.reason}"
    return f"In context={fault.context}, {fault.reason}"


_COMMON_RULES: tuple[Rule, ...] = (_out_of_range, _arrays_too_long)
_RULES: dict[str, tuple[Rule, ...]] = {
    "/chat/completions": (
        _unknown_arguments("/chat/completions"),
        _missing_parameters("/chat/completions"),
        message_refusals,
        _of_reasoning_models,
        _needs_another_parameter,
        tool_refusals,
        response_format_refusals,
        *_COMMON_RULES,
    ),
    "/completions": (_unknown_arguments("/completions"), _missing_parameters("/completions"), *_COMMON_RULES),
    "/embeddings": (_unknown_arguments("/embeddings"), _missing_parameters("/embeddings")),
    "/responses": (_unknown_response_parameters, *_COMMON_RULES),
}
