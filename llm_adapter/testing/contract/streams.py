"""Streams: their chunks, their end, and what is put together from them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import openai

from llm_adapter.testing.contract.case import Broken, Case, Check, Inconclusive, Script, expect, user
from llm_adapter.testing.contract.player import every, first, within

_USAGE = {"include_usage": True}


def chunks(case: Case, asked: Any = None, **options: Any) -> Generator[Any, Any, list[Any]]:
    """All chunks of a stream."""
    given = () if asked is None else (asked,)
    stream = yield case.ask(*given, stream=True, **options)
    got: list[Any] = yield every(stream)
    expect(got, "chunks", "an empty stream")
    return got


def shape(case: Case) -> Script:
    """The chunks of a stream are chat.completion.chunks of one reply."""
    got = yield from chunks(case)
    objects = {chunk.object for chunk in got}
    expect(objects == {"chat.completion.chunk"}, "the object 'chat.completion.chunk'", objects)
    ids = {chunk.id for chunk in got}
    expect(len(ids) == 1 and all(ids), "one id in all chunks", ids)
    expect(all(chunk.model for chunk in got), "the model's name in all chunks", "one without")
    expect(all(isinstance(chunk.created, int) for chunk in got), "`created` in all chunks", "one without")


def role(case: Case) -> Script:
    """The role comes with the first chunk."""
    got = yield from chunks(case)
    delta = _choices(got)[0].delta
    expect(delta.role == "assistant", "the role 'assistant' in the first delta", delta)


def text(case: Case) -> Script:
    """The pieces of a stream make a text."""
    got = _choices((yield from chunks(case)))
    pieces = "".join(choice.delta.content or "" for choice in got)
    expect("<think>" not in pieces, "an answer without the model's thoughts", pieces)
    reasons = [choice.finish_reason for choice in got if choice.finish_reason]
    if not pieces.strip() and reasons == ["length"]:
        raise Inconclusive("the thoughts took all tokens: `options` can give a higher limit")
    expect(pieces.strip(), "a text", f"none (finish_reason {reasons})")


def finish(case: Case) -> Script:
    """A stream has one finish_reason, in its last choice."""
    got = _choices((yield from chunks(case)))
    reasons = [choice.finish_reason for choice in got if choice.finish_reason]
    expect(len(reasons) == 1, "one finish_reason: without it half a reply looks whole", reasons or "none")
    expect(got[-1].finish_reason, "the finish_reason in the last choice", got[-1])


def limit(case: Case) -> Script:
    """A stream that the limit of tokens cuts says so."""
    got = _choices((yield from chunks(case, "Tell a long story about a dog and a cat.", **case.limit(4))))
    reasons = [choice.finish_reason for choice in got if choice.finish_reason]
    pieces = sum(bool(choice.delta.content) for choice in got)
    if reasons == ["stop"] and pieces <= 4:
        raise Inconclusive("the model had no more to say")
    expect(reasons == ["length"], "the finish_reason 'length'", reasons)


def counts(case: Case) -> Script:
    """include_usage ends a stream with its token counts, beside no choice."""
    got = yield from chunks(case, stream_options=_USAGE)
    with_usage = [place for place, chunk in enumerate(got) if chunk.usage]
    expect(with_usage == [len(got) - 1], f"`usage` in the last of {len(got)} chunks", f"in {with_usage or 'none'}")
    expect(not got[-1].choices, "no choice beside `usage`", got[-1].choices)
    usage = got[-1].usage
    expect(usage.prompt_tokens and usage.completion_tokens, "counts above zero", usage)
    expect(usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, "a total that is the sum", usage)


def always_choices(case: Case) -> Script:
    """A stream without include_usage has a choice in each chunk."""
    got = yield from chunks(case)
    without = sum(not chunk.choices for chunk in got)
    expect(not without, "a choice in each chunk, as call sites read `choices[0]`", f"{without} of {len(got)} without")


def end(case: Case) -> Script:
    """A stream is server-sent events, and ends with [DONE]."""
    completions = case.client.chat.completions
    manager = completions.with_streaming_response.create(**case.arguments(stream=True))
    kind, lines = yield from within(manager, _lines)
    expect("text/event-stream" in kind, "the type text/event-stream", kind)
    data = [line for line in lines if line.startswith("data:")]
    expect(data and data[-1][5:].strip() == "[DONE]", "`data: [DONE]` at the end", data[-1] if data else "no event")


def _lines(response: Any) -> Generator[Any, Any, tuple[str, list[str]]]:
    lines = yield every(response.iter_lines())
    return response.headers.get("content-type", ""), lines


def helper(case: Case) -> Script:
    """The SDK's .stream() puts a whole completion together."""
    manager = case.client.chat.completions.stream(**case.arguments())
    events, last = yield from within(manager, _events)
    expect(last.choices[0].message.role == "assistant", "the role 'assistant'", last.choices[0].message.role)
    pieces = "".join(event.delta for event in events if event.type == "content.delta")
    expect(pieces == (last.choices[0].message.content or ""), "the pieces' text", last.choices[0].message.content)
    expect(last.choices[0].finish_reason, "a finish_reason", None)


def _events(stream: Any) -> Generator[Any, Any, tuple[list[Any], Any]]:
    events = yield every(stream)
    return events, (yield stream.get_final_completion())


def closed_early(case: Case) -> Script:
    """A stream that is closed after its first chunk leaves the client usable."""
    stream = yield case.ask(stream=True)
    yield first(stream)
    yield stream.close()
    expect((yield case.ask()).choices, "a reply to the next call", "none")


def unknown_model(case: Case) -> Script:
    """A stream of a model that is not there error_of before its first chunk."""
    asked = case.arguments([user("Hello")], stream=True)
    try:
        stream = yield case.client.chat.completions.create(**{**asked, "model": "no-such-model-here"})
    except openai.NotFoundError:
        return
    got = yield every(stream)
    raise Broken("NotFoundError from create(stream=True)", f"a stream of {len(got)} chunks")


def _choices(got: list[Any]) -> list[Any]:
    return [chunk.choices[0] for chunk in got if chunk.choices]


_END = "send it, and an error event where the reply broke off: a reply that is cut must not look whole"
_ONE = "send it once, in the last chunk that has a choice"
CHECKS = (
    Check("stream_shape", shape, "one id, `created` and model in all chunks of a reply"),
    Check("stream_role", role, "send the role with the first delta"),
    Check("stream_text", text, "send the text in `delta.content`, thoughts in a field of their own"),
    Check("stream_finish", finish, _ONE),
    Check("stream_length", limit, "hand the limit on, and its finish_reason back"),
    Check("stream_usage", counts, "send a last chunk with `usage` and `choices: []`"),
    Check("stream_choices", always_choices, "send the chunk with `usage` only where include_usage asks for it"),
    Check("stream_end", end, _END),
    Check("stream_helper", helper, "send chunks that add up: no key, and no piece, twice"),
    Check("stream_closed", closed_early, "stop generating when the client has gone"),
    Check(
        "stream_unknown_model",
        unknown_model,
        "answer with the error's status before the stream begins",
        ("unknown_models",),
    ),
)
