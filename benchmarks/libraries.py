"""What other ways to a model on Ollama do with the same calls: the table of README.md.

    pip install litellm 'any-llm-sdk[ollama]' 'aisuite[mcp]'
    python benchmarks/libraries.py

Each library is used as its documentation says, with its own defaults, against the server that the tests use in Ollama's
place (`llm_adapter.testing`, persona `ollama@0.32`). Nothing leaves the machine.
"""

from __future__ import annotations

import importlib.metadata
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import openai

import llm_adapter
from llm_adapter.testing import error, serving, text

MODEL = "qwen3:8b"
HELLO = [{"role": "user", "content": "Hello"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
AGE = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"], "additionalProperties": False}


def base_url(host: str, native: dict[str, Any], arguments: dict[str, Any]) -> Any:
    client = openai.OpenAI(base_url=f"{host}/v1", api_key="ollama", max_retries=0)
    return client.chat.completions.create(model=MODEL, extra_body=native, **arguments)


def litellm(host: str, native: dict[str, Any], arguments: dict[str, Any]) -> Any:
    import litellm as library

    library.suppress_debug_info = True
    return library.completion(f"ollama_chat/{MODEL}", api_base=host, num_retries=0, **_flat(native), **arguments)


def any_llm(host: str, native: dict[str, Any], arguments: dict[str, Any]) -> Any:
    import any_llm as library

    return library.completion(MODEL, provider="ollama", api_base=host, **_flat(native), **arguments)


def _flat(native: dict[str, Any]) -> dict[str, Any]:
    """As arguments of their own, without `options` around them."""
    return {name: value for name, value in native.items() if name != "options"} | native.get("options", {})


def aisuite(host: str, native: dict[str, Any], arguments: dict[str, Any]) -> Any:
    import aisuite as library

    client = library.Client({"ollama": {"base_url": host}})
    return client.chat.completions.create(model=f"ollama:{MODEL}", extra_body=native, **arguments)


def ours(host: str, native: dict[str, Any], arguments: dict[str, Any]) -> Any:
    client = llm_adapter.OpenAI(settings=llm_adapter.Settings(provider="ollama", host=host), max_retries=0)
    return client.chat.completions.create(model=MODEL, extra_body=native, **arguments)


LIBRARIES: dict[str, Callable[[str, dict[str, Any], dict[str, Any]], Any]] = {
    "openai": base_url,
    "litellm": litellm,
    "any-llm-sdk": any_llm,
    "aisuite": aisuite,
    "llm_adapter": ours,
}


@dataclass(frozen=True)
class Case:
    """A call, what the server answers, and what became of it, by the reply or by the request that the server got."""

    title: str
    arguments: dict[str, Any]
    replied: Callable[[Any], str] | None = None
    sent: Callable[[dict[str, Any]], str] | None = None
    native: dict[str, Any] = field(default_factory=dict)  # what only Ollama knows
    turn: Any = field(default_factory=lambda: text("It is sunny."))
    messages: list[dict[str, str]] = field(default_factory=lambda: HELLO)


def _limit(sent: dict[str, Any]) -> str:
    """Source: ollama openai/openai.go ChatCompletionRequest, v0.32.15, which has `max_tokens` alone."""
    return "honoured" if 5 in (sent.get("options", {}).get("num_predict"), sent.get("max_tokens")) else "lost"


def _kept(sent: dict[str, Any]) -> str:
    """Neither is read by `/v1`; the native API reads `keep_alive` beside `options` and `num_ctx` in them."""
    native = "stream" in sent and "options" in sent
    found = {"keep_alive": native and "keep_alive" in sent, "num_ctx": native and "num_ctx" in sent["options"]}
    return ", ".join(name for name, there in found.items() if there) or "lost"


CASES = (
    Case("max_completion_tokens", {"max_completion_tokens": 5}, sent=_limit),
    Case(
        "tool_choice, answered in prose",
        {"tools": [WEATHER], "tool_choice": "required"},
        lambda reply: "a call" if reply.choices[0].message.tool_calls else "prose",
    ),
    Case("n=2", {"n": 2}, lambda reply: f"{len(reply.choices)} choices"),
    Case("logit_bias", {"logit_bias": {"1": 5}}, lambda _: "lost"),  # Ollama has nothing of the kind
    Case("keep_alive and num_ctx", {}, sent=_kept, native={"keep_alive": "30m", "options": {"num_ctx": 8192}}),
    Case(
        "a prompt that does not fit",
        {},
        lambda reply: f"cut to {reply.usage.prompt_tokens} tokens",
        messages=[{"role": "user", "content": "word " * 6000}],
    ),
    Case(
        "a reply that breaks its json_schema",
        {"response_format": {"type": "json_schema", "json_schema": {"name": "person", "schema": AGE}}},
        lambda _: "handed over",
        turn=text('{"age": "x"}'),
    ),
    Case(
        "a stream that ends in an error",
        {"stream": True},
        lambda reply: f"complete, after {len(list(reply))} chunks",
        turn=error(500, "out of memory", mid_stream=True, after=2),
    ),
)


def outcome(case: Case, call: Callable[[str, dict[str, Any], dict[str, Any]], Any]) -> str:
    """What became of the call, or the error that the library raises."""
    with serving("ollama@0.32", context=4096) as fake:
        fake.script(case.turn, repeat=True)
        try:
            reply = call(fake.base_url.removesuffix("/v1"), case.native, {"messages": case.messages, **case.arguments})
            return case.replied(reply) if case.replied else case.sent(fake.requests[0].body)
        except Exception as failure:
            return type(failure).__name__


def main() -> None:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else litellm fetches a table when it is imported
    warnings.simplefilter("ignore")
    print("|", *(f"| {name} {importlib.metadata.version(name)}" for name in LIBRARIES), "|")
    print("|---" * (len(LIBRARIES) + 1) + "|")
    for case in CASES:
        print(f"| {case.title} |", " | ".join(outcome(case, call) for call in LIBRARIES.values()), "|")


if __name__ == "__main__":
    main()
