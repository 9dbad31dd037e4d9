"""How many tokens the prompt of a chat call has, by the server's own template and vocabulary where it tells.

Sources: llama.cpp tools/server of 2026-10, which counts a chat call at /v1/chat/completions/input_tokens, and an older
one at /apply-template and /tokenize, with the same result; vllm entrypoints/serve/tokenize/protocol.py
TokenizeChatRequest. Ollama and LM Studio have nothing like it: there it is an estimate, and called so.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeAlias

from llm_adapter.provider import Call, Flow, Json, NativeReply, NativeRequest
from llm_adapter.providers.v1.chat import request, requirements_of, with_images
from llm_adapter.providers.v1.dialects import Dialect
from llm_adapter.translation.images import parts
from llm_adapter.translation.reply_shapes import ANSWER, reply_of
from llm_adapter.translation.token_count import estimated_count
from llm_adapter.translation.unavailable import is_path_missing

Counting: TypeAlias = "Generator[NativeRequest, NativeReply, int | None]"


def count(call: Call, dialect: Dialect) -> Flow:
    """The count of a chat call's prompt: `input_tokens`, and `estimated` where the server does not count."""
    counting = _COUNTING.get(dialect.name)
    if counting is None:
        return estimated_count(call.body)
    call = yield from with_images(call, dialect)
    tokens = yield from counting(call, request(requirements_of(call, dialect), dialect))
    return estimated_count(call.body) if tokens is None else {"input_tokens": tokens}


def _llamacpp_tokens(call: Call, body: Json) -> Counting:
    reply = yield NativeRequest("POST", "chat/completions/input_tokens", body)
    if not is_path_missing(reply):
        return _number(reply, "input_tokens")
    if any(part.get("type") != "text" for _, part in parts(body["messages"])):
        return None  # a template has no pictures
    prompt = reply_of((yield NativeRequest("POST", "/apply-template", body)), ANSWER).get("prompt")
    text = {"content": prompt, "add_special": True, "parse_special": True}
    tokens = reply_of((yield NativeRequest("POST", "/tokenize", text)), ANSWER).get("tokens")
    return len(tokens) if isinstance(tokens, list) else None


def _vllm_tokens(call: Call, body: Json) -> Counting:
    asked = {name: body[name] for name in ("model", "messages", "tools", "chat_template_kwargs") if body.get(name)}
    reply = yield NativeRequest("POST", "/tokenize", asked)
    return None if is_path_missing(reply) else _number(reply, "count")


def _number(reply: NativeReply, name: str) -> int | None:
    tokens = reply_of(reply, ANSWER).get(name)
    return tokens if isinstance(tokens, int) else None


_COUNTING: dict[str, Callable[[Call, Json], Counting]] = {"llamacpp": _llamacpp_tokens, "vllm": _vllm_tokens}
