"""A chat completion  →  a response: output items, status, usage, and the call's arguments, which OpenAI repeats.

Source: openai-python types/responses/response.py, v3.52.0; ollama openai/responses.go ToResponse, v0.24.0, which drops
the text beside tool calls and says "completed" of a reply that was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llm_adapter.provider import Call, Json
from llm_adapter.responses.items import item_id

CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED: Json = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "store": True,
    "temperature": None,  # not given is not sent: the model's own default stands
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}


def unfinished_response(call: Call, status: str = "in_progress") -> Json:
    """A response without a reply yet, with the arguments of its call."""
    echoed = {name: default if call.body.get(name) is None else call.body[name] for name, default in _ECHOED.items()}
    echoed["reasoning"] = {**_ECHOED["reasoning"], **echoed["reasoning"]}
    echoed["text"] = {**_ECHOED["text"], **echoed["text"]}
    echoed["tools"] = [_complete_tool(tool) for tool in echoed["tools"]]
    conversation = call.body.get("conversation")
    return {
        "id": f"resp_{call.id}",
        "object": "response",
        "created_at": call.created,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": call.body.get("model"),
        "output": [],
        "usage": None,
        "service_tier": "default",
        "conversation": {"id": conversation} if isinstance(conversation, str) else conversation,
        **echoed,
    }


def _complete_tool(tool: Json) -> Json:
    """A function with every field that its type has."""
    blank = {"description": None, "parameters": None, "strict": None}
    return {**blank, **tool} if tool.get("type") == "function" else tool


def finished_response(call: Call, output: list[Json], reason: str | None, chat: Json) -> Json:
    """The response at its end. chat: the completion, or the last chunks of its stream, for model, usage and figures."""
    cut = CUT.get(reason or "")
    more = {"ollama": chat["ollama"]} if chat.get("ollama") else {}
    return {
        **unfinished_response(call, "incomplete" if cut else "completed"),
        "incomplete_details": {"reason": cut} if cut else None,
        "model": chat.get("model") or call.body.get("model"),
        "output": output,
        "usage": usage(chat.get("usage")),
        **more,
    }


def response(call: Call, first: int, chat: Json) -> Json:
    """The response of a whole chat completion. first: the place of the first output item."""
    choice = chat["choices"][0]
    message, reason = choice["message"], choice.get("finish_reason")
    output: list[Json] = []

    def new(kind: str) -> str:
        return item_id(kind, call.id, first + len(output))

    thought = message.get("reasoning") or message.get("reasoning_content")
    if thought:
        output.append(reasoning_item(new("reasoning"), thought))
    calls = message.get("tool_calls") or []
    text = message.get("content") or ""
    if text or is_empty_message(bool(calls), reason):
        output.append(message_item(new("message"), text, _text_logprobs(logprobs(choice.get("logprobs")), text)))
    for one in calls:
        function = one["function"]
        output.append(call_item(new("function_call"), one["id"], function["name"], function["arguments"]))
    if reason in CUT and output and output[-1]["type"] != "reasoning":
        output[-1]["status"] = "incomplete"
    return finished_response(call, output, reason, chat)


def is_empty_message(called: bool, reason: str | None) -> bool:
    """Whether a reply without text becomes an empty message: it is complete, and the model said nothing."""
    return not called and reason not in CUT


def reasoning_item(name: str, text: str) -> Json:
    return {"id": name, "type": "reasoning", "summary": [{"type": "summary_text", "text": text}]}


def message_item(name: str, text: str, logs: Sequence[Json] = ()) -> Json:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": list(logs)}
    return {"id": name, "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def call_item(name: str, call_id: str, function: str, arguments: str) -> Json:
    item = {"id": name, "type": "function_call", "status": "completed", "call_id": call_id}
    return {**item, "name": function, "arguments": arguments}


def logprobs(given: Any) -> list[Json]:
    return list((given or {}).get("content") or [])


def _text_logprobs(logs: list[Json], text: str) -> list[Json]:
    """The logprobs of a message's text: Ollama gives those of the thinking, too, before them."""
    place, rest = len(logs), text
    while place and rest and rest.endswith(logs[place - 1]["token"]):
        place -= 1
        rest = rest.removesuffix(logs[place]["token"])
    return logs if rest else logs[place:]


def usage(chat: Json | None) -> Json | None:
    """The usage in this API's words; details are zero where the backend tells none."""
    if chat is None:
        return None
    prompt, completion = chat.get("prompt_tokens_details") or {}, chat.get("completion_tokens_details") or {}
    marked = {"estimated": True} if chat.get("estimated") else {}
    return {
        "input_tokens": chat.get("prompt_tokens", 0),
        "input_tokens_details": {"cached_tokens": prompt.get("cached_tokens") or 0, "cache_write_tokens": 0},
        "output_tokens": chat.get("completion_tokens", 0),
        "output_tokens_details": {"reasoning_tokens": completion.get("reasoning_tokens") or 0},
        "total_tokens": chat.get("total_tokens", 0),
        **marked,
    }
