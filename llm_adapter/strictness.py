"""What OpenAI itself refuses of a call that local servers take: the way back is the stricter one (P36). No IO.

Only what OpenAI has answered is here, in its own words, with its `param` and `code`. Sources: the errors that users
report (open-webui#14520, langchain_dart#712, llama_index#10493, promptflow#3946, CopilotKit#529, griptape#1915,
gollm#33, langchaingo#1355, outlines#844, fast-agent#143), and the docstrings of the SDK's parameter types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, TypeAlias, get_type_hints

from llm_adapter.provider import Json, Rejected
from llm_adapter.strict_messages import message_refusals
from llm_adapter.strict_schemas import response_format_refusals, tool_refusals

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
_MOST = {"stop": 4}
# What means something together with another parameter alone.
_NEEDS = {
    "tool_choice": "Invalid value for 'tool_choice': 'tool_choice' is only allowed when 'tools' are specified.",
    "parallel_tool_calls": (
        "Invalid value for 'parallel_tool_calls': 'parallel_tool_calls' is only allowed when 'tools' are specified."
    ),
}
_NEEDED = {"/chat/completions": "messages", "/embeddings": "input"}


_NO_MODEL = "you must provide a model parameter"


def refusals(path: str, body: Json) -> list[Rejected]:
    """What OpenAI would refuse of a call, the first of which is what it would answer; empty when it is taken.

    path: below /v1, "/chat/completions". body: the call's arguments with `extra_body` merged in.
    """
    return [refusal for rule in _RULES.get(path, ()) for refusal in rule(body)]


def argument(refusal: Rejected) -> str:
    """The argument of the call that a refusal is about: OpenAI names an unknown one in its message alone."""
    param = refusal.error["param"]
    if isinstance(param, str):
        return re.split(r"[.\[]", param, maxsplit=1)[0]
    name = str(refusal).rpartition(": ")[2]
    return "model" if name == _NO_MODEL else name


@cache
def known(path: str) -> frozenset[str]:
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


def _unknown(path: str) -> Rule:
    def rule(body: Json) -> Iterator[Rejected]:
        for name in body:
            if name not in known(path):
                yield _unrecognized(name)

    return rule


def _unrecognized(name: str) -> Rejected:
    return Rejected(f"Unrecognized request argument supplied: {name}")


def _unknown_of_responses(body: Json) -> Iterator[Rejected]:
    for name in body:
        if name not in known("/responses"):
            yield Rejected(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")


def _missing(path: str) -> Rule:
    def rule(body: Json) -> Iterator[Rejected]:
        if not body.get("model"):
            yield Rejected(_NO_MODEL)
        needed = _NEEDED.get(path)
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


def _too_many(body: Json) -> Iterator[Rejected]:
    for name, most in _MOST.items():
        value = body.get(name)
        if isinstance(value, list) and len(value) > most:
            yield Rejected(
                f"Invalid '{name}': array too long. Expected an array with maximum length {most}, "
                f"but got an array with length {len(value)} instead.",
                param=name,
                code="array_above_max_length",
            )


def _alone(body: Json) -> Iterator[Rejected]:
    for name, message in _NEEDS.items():
        if body.get(name) is not None and not body.get("tools") and not body.get("functions"):
            yield Rejected(message, param=name)
    if body.get("stream_options") is not None and not body.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        yield Rejected(message, param="stream_options")


def _of_reasoning_models(body: Json) -> Iterator[Rejected]:
    """P3, P25: what a reasoning model does not take, and what only it does."""
    model = str(body.get("model"))
    if _REASONING.match(model) and body.get("max_tokens") is not None:
        yield _unsupported("max_tokens", " Use 'max_completion_tokens' instead.")
    if _NEVER_REASONING.match(model) and body.get("reasoning_effort") is not None:
        yield _unrecognized("reasoning_effort")
    if _WITHOUT_STOP.match(model) and body.get("stop") is not None:
        yield _unsupported("stop")
    if _ALWAYS_REASONING.match(model):
        yield from _sampling(body, model)


def _sampling(body: Json, model: str) -> Iterator[Rejected]:
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


_EVERYWHERE: tuple[Rule, ...] = (_out_of_range, _too_many)
_RULES: dict[str, tuple[Rule, ...]] = {
    "/chat/completions": (
        _unknown("/chat/completions"),
        _missing("/chat/completions"),
        message_refusals,
        _of_reasoning_models,
        _alone,
        tool_refusals,
        response_format_refusals,
        *_EVERYWHERE,
    ),
    "/completions": (_unknown("/completions"), _missing("/completions"), *_EVERYWHERE),
    "/embeddings": (_unknown("/embeddings"), _missing("/embeddings")),
    "/responses": (_unknown_of_responses, *_EVERYWHERE),
}
