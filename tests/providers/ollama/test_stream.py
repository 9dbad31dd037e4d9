"""Property tests of the line decoder: any text, any cut, the same reply, and never a silent end."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from recorded import call

from llm_adapter.providers.ollama import chat, completions
from llm_adapter.translation.completions import CompletionRequirements
from llm_adapter.translation.reply_checks import ReplyRequirements

# Every character that Python's splitlines cuts at, beside ordinary ones: a reply may hold them all.
TEXT = st.text(
    alphabet=st.one_of(st.characters(codec="utf-8"), st.sampled_from('\x85\u2028\u2029\x0b\x0c\x1c\x1d\r\n"\\{}'))
)
CALL = call("/chat/completions", {"model": "m", "stream": True, "stream_options": {"include_usage": True}})


def cut(data: bytes, places: list[int]) -> list[bytes]:
    marks = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(marks)]


def events(out: bytes) -> list[Any]:
    lines = [one.removeprefix(b"data: ") for one in out.split(b"\n\n") if one]
    return [line if line == b"[DONE]" else json.loads(line) for line in lines]


@given(st.lists(st.tuples(TEXT, TEXT)), st.lists(st.integers(0, 10**6), max_size=6), st.booleans())
def test_text_survives(parts: list[tuple[str, str]], places: list[int], escaped: bool) -> None:
    """Content and thinking arrive whole, whatever is in them and wherever the bytes were cut."""
    lines: list[Any] = [{"message": {"content": text, "thinking": thought}, "done": False} for text, thought in parts]
    lines.append({"message": {"content": ""}, "done": True, "done_reason": "stop"})
    data = "".join(json.dumps(line, ensure_ascii=escaped) + "\n" for line in lines).encode()
    decoder = chat.ChatDecoder(CALL)
    got = events(b"".join(map(decoder.feed, cut(data, places))) + decoder.finish())
    assert got[-1] == b"[DONE]"
    deltas = [choice["delta"] for chunk in got[:-1] for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "".join(text for text, _ in parts)
    assert "".join(delta.get("reasoning") or "" for delta in deltas) == "".join(thought for _, thought in parts)
    assert [delta.get("role") for delta in deltas].count("assistant") == 1
    assert len({chunk["id"] for chunk in got[:-1]}) == 1


@given(st.binary(), st.lists(st.integers(0, 10**6), max_size=4))
def test_any_bytes_end_in_done_or_in_an_error(data: bytes, places: list[int]) -> None:
    """Whatever a server sends, the stream ends in [DONE] or raises."""
    prompted = call("/completions", {"model": "m", "prompt": "x", "stream": True})
    for decoder in (chat.ChatDecoder(CALL), completions.decoder(prompted, CompletionRequirements.of(prompted, ""))):
        got = events(b"".join(map(decoder.feed, cut(data, places))) + decoder.finish())
        assert got[-1] == b"[DONE]" or "error" in got[-1]


def test_error_line() -> None:
    """A line with an error ends the stream with it; what follows is not part of the reply."""
    decoder = chat.ChatDecoder(CALL)
    out = decoder.feed(b'{"message":{"content":"Hel"},"done":false}\n{"error":"boom"}\n{"message":{"content":"x"}}\n')
    got = events(out + decoder.finish())
    assert got[-1]["error"]["message"] == "boom"
    assert len(got) == 2


def test_lone_surrogate() -> None:
    """Half a surrogate pair, which a cut token can produce, is passed on and not an error."""
    decoder = chat.ChatDecoder(CALL)
    out = decoder.feed(b'{"message":{"content":"\\ud83d"},"done":true}\n')
    assert events(out + decoder.finish())[0]["choices"][0]["delta"]["content"] == "\ud83d"


class LongWay(chat.ChatDecoder):
    """Without the short cut for a piece of text."""

    def text_chunk(self, native: Any) -> None:
        pass


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
PIECES: list[dict[str, Any]] = [
    {"role": "assistant", "content": "Hi"},
    {"role": "assistant", "content": ""},
    {"role": "assistant", "content": None},
    {"role": "assistant", "content": 7},
    {"role": 7, "content": "Hi"},
    {"role": "assistant", "content": "{"},
    {"role": "assistant", "content": "Hi", "thinking": "Hm"},
    {"role": "assistant", "thinking": "Hm"},
    {"content": "Hi"},
]
lines = st.fixed_dictionaries(
    {"message": st.sampled_from([*PIECES[:2], *PIECES])},
    optional={
        "model": st.sampled_from(["m", "m", "other", "", None, 7]),
        "created_at": st.just("2026"),
        "done": st.sampled_from([False, False, False, True, None, "no"]),
        "error": st.sampled_from(["", "boom"]),
        "logprobs": st.sampled_from([None, [{"token": "x", "logprob": -1}]]),
    },
)


@given(st.lists(lines, max_size=5), st.booleans())
def test_the_short_cut_is_the_long_way(natives: list[Any], tools: bool) -> None:
    """A piece of text is told as it is where everything is looked at and checked."""
    asked = call("/chat/completions", {**CALL.body, "messages": [], **({"tools": [TOOL]} if tools else {})})
    data = b"".join(json.dumps(native).encode() + b"\n" for native in natives)
    told = []
    for kind in (chat.ChatDecoder, LongWay):
        decoder = kind(asked, ReplyRequirements.of(asked, "here"))
        told.append(decoder.feed(data) + decoder.finish())
    assert told[0] == told[1]
