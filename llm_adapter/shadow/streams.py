"""A streamed reply, put together to the reply that it would have been without `stream`. Pure.

By hand and not by the SDK, which takes some 100 µs a chunk: while this thread computes, the caller's do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from pydantic_core import from_json

from llm_adapter.provider import Json


class BrokenStreamError(Exception):
    """An error that came in the place of the rest. error: OpenAI's, of the envelope."""

    def __init__(self, error: Json) -> None:
        super().__init__()
        self.error = error


def whole(path: str, content: bytes) -> Json:
    """The reply of a stream's bytes. Raises `BrokenStreamError`, and ValueError for what is no JSON."""
    return READERS[path](events(content))


def events(content: bytes) -> Iterator[Json]:
    """The data of server-sent events, up to [DONE]; one line each, as OpenAI and all that speak like it send them."""
    for line in content.split(b"\n"):
        if not line.startswith(b"data:"):
            continue
        data = line[5:].strip()
        if data.startswith(b"[DONE]"):
            return
        event = from_json(data)
        error = event.get("error")
        if error or event.get("type") == "error":
            raise BrokenStreamError(error if isinstance(error, dict) else event)
        yield event


def _chat(chunks: Iterator[Json]) -> Json:
    return _joined(chunks, _message)


def _completion(chunks: Iterator[Json]) -> Json:
    return _joined(chunks, lambda parts: {"text": _text(parts, "text")})


def _joined(chunks: Iterator[Json], content: Callable[[list[Json]], Json]) -> Json:
    """A reply of choices. content: what a choice's parts are together."""
    reply: Json = {}
    parts: dict[int, list[Json]] = {}
    for chunk in chunks:
        reply |= {name: value for name, value in chunk.items() if value is not None and name != "choices"}
        for choice in chunk.get("choices") or ():
            parts.setdefault(choice.get("index") or 0, []).append(choice)
    choices = [{**content(own), "index": index, "finish_reason": _reason(own)} for index, own in parts.items()]
    return {**reply, "choices": choices}


def _reason(parts: list[Json]) -> str | None:
    return next((part["finish_reason"] for part in reversed(parts) if part.get("finish_reason")), None)


def _message(parts: list[Json]) -> Json:
    deltas = [part.get("delta") or {} for part in parts]
    calls: dict[int, list[Json]] = {}
    for delta in deltas:
        for call in delta.get("tool_calls") or ():
            calls.setdefault(call.get("index") or 0, []).append(call)
    message: Json = {name: _text(deltas, name) for name in ("content", "refusal")}
    if calls:
        message["tool_calls"] = [_call(own) for own in calls.values()]
    if older := [delta["function_call"] for delta in deltas if delta.get("function_call")]:
        message["function_call"] = _function(older)
    return {"message": message}


def _call(parts: list[Json]) -> Json:
    custom = [part["custom"] for part in parts if part.get("custom")]
    if custom:
        return {"custom": {"name": _text(custom, "name"), "input": _text(custom, "input")}}
    return {"function": _function([part.get("function") or {} for part in parts])}


def _function(parts: list[Json]) -> Json:
    return {"name": _text(parts, "name"), "arguments": _text(parts, "arguments") or ""}


def _text(parts: list[Json], name: str) -> str | None:
    """The pieces of one text, None where there are none."""
    return "".join([part[name] for part in parts if part.get(name)]) or None


def _response(found: Iterator[Json]) -> Json:
    """Of /responses: its last events hold all of it."""
    reply: Json = {}
    for event in found:
        reply = event.get("response") or reply
    return reply


READERS: Mapping[str, Callable[[Iterator[Json]], Json]] = {
    "/chat/completions": _chat,
    "/completions": _completion,
    "/responses": _response,
}
