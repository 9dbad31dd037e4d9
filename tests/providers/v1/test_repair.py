"""Streams of /v1 servers, mended: the SDK's own decoder and accumulator are the judges."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import openai
import pytest
from drivers import HTTPX
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from llm_adapter.providers.v1.repair import RepairDecoder, ToolCalls, repaired
from llm_adapter.translation.reply_shapes import STREAMED
from llm_adapter.translation.wire import tool_call_id

CALL = "0123456789abcdef0123456789abcdef"
DONE = b"data: [DONE]\n\n"
SDK = openai.OpenAI(api_key="k", base_url="http://v1.test/v1", http_client=HTTPX.Client(verify=False))


def chunk(delta: dict[str, Any], reason: str | None = None, index: int = 0) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": index, "delta": delta, "finish_reason": reason}],
    }


def events(*chunks: dict[str, Any], end: bytes = b"\n\n") -> bytes:
    return b"".join(b"data: " + json.dumps(one).encode() + end for one in chunks)


def mended(data: bytes, *cuts: int) -> bytes:
    repair = RepairDecoder(CALL)
    places = [0, *sorted(cuts), len(data)]
    pieces = [data[start:stop] for start, stop in pairwise(places)]
    return b"".join(repair.feed(piece) for piece in pieces) + repair.finish()


def read(data: bytes) -> list[ChatCompletionChunk]:
    """The chunks that the SDK reads from these bytes. Raises what its stream raises."""
    response = HTTPX.Response(200, content=data, request=HTTPX.Request("POST", "http://v1.test/v1/chat/completions"))
    return list(openai.Stream(cast_to=ChatCompletionChunk, response=response, client=SDK))


def accumulated(data: bytes) -> ChatCompletion:
    state = ChatCompletionStreamState()
    for one in read(data):
        state.handle_chunk(one)
    return state.get_final_completion()


def tool(name: str | None = None, arguments: str | None = None, **more: Any) -> dict[str, Any]:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return {**more, "function": function}


def calls(*deltas: list[dict[str, Any]]) -> bytes:
    return events(*(chunk({"tool_calls": delta}) for delta in deltas), chunk({}, "tool_calls")) + DONE


# --- tool calls -----------------------------------------------------------------------------------------------

A, B = ("a", '{"x":1}'), ("b", '{"y":2}')
SPELLINGS = {
    "as OpenAI": [
        [tool("a", "", index=0, id="1", type="function")],
        [tool(None, '{"x":1}', index=0)],
        [tool("b", "", index=1, id="2", type="function")],
        [tool(None, '{"y":2}', index=1)],
    ],
    "index 0 for each": [[tool(*A, index=0, id="1")], [tool(*B, index=0, id="2")]],
    "index 0 for both in one chunk": [[tool(*A, index=0, id="1"), tool(*B, index=0, id="2")]],
    "index 0 in pieces": [
        [tool("a", "", index=0, id="1")],
        [tool(None, '{"x":', index=0)],
        [tool(None, "1}", index=0)],
        [tool("b", "", index=0, id="2")],
        [tool(None, '{"y":2}', index=0)],
    ],
    "no index": [[tool(*A, id="1")], [tool(*B, id="2")]],
    "no index in pieces": [
        [tool("a", "", id="1")],
        [tool(None, '{"x":1}')],
        [tool("b", "", id="2")],
        [tool(None, '{"y":2}')],
    ],
    "null index": [[tool(*A, index=None, id="1")], [tool(*B, index=None, id="2")]],
    "no id": [[tool(*A, index=0)], [tool(*B, index=1)]],
    "empty id, index 0": [[tool(*A, index=0, id="")], [tool(*B, index=0, id="")]],
    "neither": [[tool(*A)], [tool(*B)]],
    "id on every piece": [
        [tool("a", "", index=0, id="1")],
        [tool(None, '{"x":1}', index=0, id="1")],
        [tool("b", "", index=0, id="2")],
        [tool(None, '{"y":2}', index=0, id="2")],
    ],
    "interleaved": [
        [tool("a", '{"x":', index=0, id="1"), tool("b", '{"y":', index=1, id="2")],
        [tool(None, "2}", index=1), tool(None, "1}", index=0)],
    ],
    "interleaved by id": [
        [tool("a", '{"x":', index=0, id="1"), tool("b", '{"y":', index=0, id="2")],
        [tool(None, "2}", index=0, id="2"), tool(None, "1}", index=0, id="1")],
    ],
    "from 1": [[tool(*A, index=1, id="1")], [tool(*B, index=2, id="2")]],
    "the same tool twice": [[tool("a", '{"x":1}', index=0)], [tool("a", '{"x":2}', index=0)]],
}


@pytest.mark.parametrize("deltas", SPELLINGS.values(), ids=SPELLINGS)
def test_two_calls_stay_two(deltas: Any) -> None:
    """However a server numbers its calls, the SDK's accumulator gets two, each with its own JSON and id."""
    message = accumulated(mended(calls(*deltas))).choices[0].message
    got = [(one.function.name, one.function.arguments) for one in message.tool_calls]
    second = ("a", '{"x":2}') if deltas is SPELLINGS["the same tool twice"] else B
    assert got == [A, second]
    assert len({one.id for one in message.tool_calls}) == 2
    assert all(one.id and one.type == "function" for one in message.tool_calls)


def test_the_servers_ids_stay() -> None:
    """A result is sent back under the id that the server gave."""
    message = accumulated(mended(calls([tool(*A, index=0, id="call_7")], [tool(*B, index=0, id="call_9")]))).choices[0]
    assert [one.id for one in message.message.tool_calls] == ["call_7", "call_9"]


def test_each_choice_has_its_own_calls() -> None:
    """Two choices that both begin at index 0 do not share their places."""
    both = [chunk({"tool_calls": [tool(*A, index=0, id=f"{index}")]}, index=index) for index in (0, 1)]
    ends = [chunk({}, "tool_calls", index=index) for index in (0, 1)]
    completion = accumulated(mended(events(*both, *ends) + DONE))
    assert [[one.id for one in choice.message.tool_calls] for choice in completion.choices] == [["0"], ["1"]]


@given(st.data())
def test_any_number_of_calls_in_any_pieces(data: st.DataObject) -> None:
    """Calls one after the other, cut anywhere, with or without ids and indices, are put together again.

    One without arguments has those that the SDK can parse.
    """
    wanted = data.draw(st.lists(st.tuples(st.sampled_from("abc"), st.text("{}xyz\"'", max_size=6)), max_size=4))
    with_id, numbered = data.draw(st.booleans()), data.draw(st.sampled_from(["right", "zero", "none"]))
    places, settled = ToolCalls(CALL), []
    for number, (name, arguments) in enumerate(wanted):
        index = {"right": {"index": number}, "zero": {"index": 0}, "none": {}}[numbered]
        cut = data.draw(st.integers(0, len(arguments)))
        opening = tool(name, arguments[:cut], **index, **({"id": f"id{number}"} if with_id else {}))
        for delta in (opening, tool(None, arguments[cut:], **index)):
            settled += places.repaired(delta)
    settled += places.ends()
    got = [["", ""] for _ in wanted]
    for delta in settled:
        got[delta["index"]][0] += delta["function"].get("name", "")
        got[delta["index"]][1] += delta["function"]["arguments"]
    assert [tuple(one) for one in got] == [(name, arguments or "{}") for name, arguments in wanted]


ENDS: dict[str, tuple[list[Any], Any, str]] = {
    "on a chunk of its own": ([tool("a", "", index=0)], {}, "{}"),
    "null": ([tool("a", None, index=0)], {}, "{}"),
    "nothing but white space": ([tool("a", " ", index=0), tool(None, "\n", index=0)], {}, "{}"),
    "with the last arguments": ([tool("a", "", index=0)], {"tool_calls": [tool(None, '{"x":1}', index=0)]}, '{"x":1}'),
    "with the whole call": ([], {"tool_calls": [tool("a", "", index=0)]}, "{}"),
    "before a delta that is null": ([tool("a", "", index=0)], None, "{}"),
}


@pytest.mark.parametrize(("deltas", "last", "arguments"), ENDS.values(), ids=ENDS)
def test_how_a_call_ends(deltas: list[Any], last: Any, arguments: str) -> None:
    """A call that has had no arguments at the end of its choice gets them."""
    said = [chunk({"tool_calls": [one]}) for one in deltas]
    [called] = accumulated(mended(events(*said, chunk(last, "tool_calls")) + DONE)).choices[0].message.tool_calls
    assert called.function.arguments == arguments


def test_a_call_that_was_cut_off_has_no_arguments() -> None:
    """`{}` would be taken for a call that is complete; the one before it is."""
    both = [tool("a", "", index=0, id="1"), tool("b", "", index=1, id="2")]
    chunks = [chunk({"tool_calls": [one]}) for one in both]
    got = [one.choices[0].delta for one in read(mended(events(*chunks, chunk({}, "length")) + DONE))]
    pieces = [(one.index, one.function.arguments) for delta in got for one in delta.tool_calls or ()]
    assert [piece for piece in pieces if piece[1]] == [(0, "{}")]
    message = {"role": "assistant", "tool_calls": [tool("a", None, id="1"), tool("b", None, id="2")]}
    reply = repaired({"choices": [{"message": message, "finish_reason": "length"}]}, CALL)
    calls = reply["choices"][0]["message"]["tool_calls"]
    assert [one["function"]["arguments"] for one in calls] == ["{}", ""]


def test_a_whole_replys_calls_have_ids() -> None:
    message = {"role": "assistant", "tool_calls": [tool(*A), tool(*B, id="")]}
    reply = repaired({"choices": [{"message": message}]}, CALL)
    assert [one["id"] for one in reply["choices"][0]["message"]["tool_calls"]] == [
        tool_call_id(CALL, 0),
        tool_call_id(CALL, 1),
    ]
    assert {one["type"] for one in reply["choices"][0]["message"]["tool_calls"]} == {"function"}


# --- reasoning -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["reasoning", "reasoning_content"])
def test_both_spellings_of_reasoning(spelling: str) -> None:
    [thought, _] = read(mended(events(chunk({spelling: "Hmm"}), chunk({}, "stop")) + DONE))
    assert (thought.choices[0].delta.reasoning, thought.choices[0].delta.reasoning_content) == ("Hmm", "Hmm")


@pytest.mark.parametrize("spelling", ["reasoning", "reasoning_content"])
def test_both_spellings_in_a_whole_reply(spelling: str) -> None:
    message = repaired({"choices": [{"message": {"content": "", spelling: "Hmm"}}]}, CALL)["choices"][0]["message"]
    assert message["reasoning"] == message["reasoning_content"] == "Hmm"


def test_no_reasoning_is_not_made_up() -> None:
    """A null that a server sends along adds no second key."""
    data = events(chunk({"content": "Hi", "reasoning_content": None}), chunk({}, "stop")) + DONE
    assert "reasoning" not in read(mended(data))[0].choices[0].delta.model_extra


# --- the end ---------------------------------------------------------------------------------------------------

SAY = chunk({"content": "Hel"})
ENDS = {
    "reason and done": events(chunk({}, "stop")) + DONE,
    "reason and done, the last line open": events(chunk({}, "stop")) + b"data: [DONE]",
    "reason alone": events(chunk({}, "length")),
    "reason, no blank line": events(chunk({}, "stop"), end=b""),
}
CUTS = {
    "nothing": b"",
    "half an event": b'data: {"choices"',
    "a null reason": events(chunk({"content": "lo"})),
    "done alone": DONE,
    "done, the last line open": b"data: [DONE]",
    "one choice of two": events(chunk({"content": "x"}, index=1), chunk({}, "stop")) + DONE,
    "a comment": b": ping\n\n",
    "the word in a reply": events(chunk({"content": "ends with [DONE]"})),
    "the reason in a reply": events(chunk({"content": '"finish_reason": "stop"'})),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_an_end(end: bytes) -> None:
    assert read(mended(events(SAY) + end))[0].choices[0].delta.content == "Hel"


@pytest.mark.parametrize("end", CUTS.values(), ids=CUTS)
def test_an_end_that_is_none(end: bytes) -> None:
    """The SDK alone would take this for a finished answer."""
    with pytest.raises(openai.APIError, match="ended before the reply was complete"):
        read(mended(events(SAY) + end))


def test_cut_at_every_byte() -> None:
    """Wherever a stream stops before its finish is out, the SDK's own error is raised, and never another."""
    head, finish = events(SAY), events(chunk({}, "stop"))
    whole = len(head + finish.rstrip())
    for stop in range(whole):
        with pytest.raises(openai.APIError, match="ended before"):
            read(mended((head + finish)[:stop]))
    for stop in range(whole, len(head + finish) + 1):
        assert read(mended((head + finish)[:stop]))[1].choices[0].finish_reason == "stop"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'data: {"error":"the runner stopped"}\n\n', "the runner stopped"),
        (b'data: {"error":{"message":"the runner stopped","code":500}}\n\n', "the runner stopped"),
        (b'error: {"message":"the runner stopped","code":500,"type":"server_error"}\n\n', "the runner stopped"),
    ],
)
def test_an_error_in_the_stream(line: bytes, message: str) -> None:
    """Also in the field of its own that older llama.cpp used, which the SDK skips."""
    with pytest.raises(openai.APIError, match=message):
        read(mended(events(SAY) + line))


def test_an_overflow_in_the_stream_has_its_code() -> None:
    overflow = b'data: {"error":{"message":"the request exceeds the available context size","code":400}}\n\n'
    with pytest.raises(openai.APIError) as caught:
        read(mended(events(SAY) + overflow))
    assert caught.value.code == "context_length_exceeded"


# --- bytes ----------------------------------------------------------------------------------------------------------

STREAMS = {
    "plain": events(SAY, chunk({}, "stop")) + DONE,
    "tools": calls(*SPELLINGS["index 0 in pieces"]),
    "reasoning": events(chunk({"reasoning": "Hm\u0085m \u2028"}), chunk({}, "stop")) + DONE,
    "error": events(SAY) + b'error: {"message":"x"}\n\n',
    "cut": events(SAY),
    "crlf": calls(*SPELLINGS["no id"]).replace(b"\n", b"\r\n"),
}


@pytest.mark.parametrize("data", STREAMS.values(), ids=STREAMS)
def test_one_cut_anywhere(data: bytes) -> None:
    """The same comes out wherever the network cuts."""
    whole = mended(data)
    assert all(mended(data, place) == whole for place in range(len(data)))


@given(st.sampled_from(list(STREAMS.values())), st.lists(st.integers(0, 400), max_size=8))
def test_many_cuts_anywhere(data: bytes, cuts: list[int]) -> None:
    assert mended(data, *(min(cut, len(data)) for cut in cuts)) == mended(data)


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_what_needs_nothing_passes(end: bytes) -> None:
    """Comments, other fields, odd spacing and either line end come out as they came."""
    sent = end.join(
        [
            b": ping",
            b"",
            b"event: x",
            b'data:{"choices":[ ]}',
            b"",
            b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}',
            b"",
            b"data: [DONE]",
            b"",
            b"",
        ]
    )
    assert mended(sent) == sent


def test_line_ends_are_kept() -> None:
    """A mended event ends as its neighbours do: a decoder that splits at blank lines finds them all."""
    out = mended(STREAMS["crlf"])
    assert out.count(b"\n") == out.count(b"\r\n")
    assert len(read(out)) == 3


GOOD = events(SAY, chunk({}, "stop")) + DONE
SPELT = {
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "line ends of CR": GOOD.replace(b"\n", b"\r"),
    "an event in two lines": GOOD.replace(b'{"id"', b'{\ndata: "id"', 1),
    "a heartbeat of nothing": GOOD.replace(b"\n\n", b"\n\ndata:\n\n", 1),
    "a delta that is null": events({**SAY, "choices": [{"index": 0, "delta": None}]}) + GOOD,
    "ids and comments": GOOD.replace(b"\n\n", b"\nid: 7\n\n: ping\n\nretry: 3\n\nevent: ping\n\n", 1),
    "a usage without choices": events({"usage": {"prompt_tokens": 1}}) + GOOD,
}


@pytest.mark.parametrize("data", SPELT.values(), ids=SPELT)
def test_however_a_stream_is_spelt(data: bytes) -> None:
    """What the SDK would lose, or stumble over, is mended, wherever the network cuts."""
    whole = mended(data)
    assert "".join(one.choices[0].delta.content or "" for one in read(whole) if one.choices) == "Hel"
    assert all(mended(data, place) == whole for place in range(0, len(data), 7))


NO_EVENTS = {
    "an event called error": (b'event: error\ndata: {"message": "out of memory"}\n\n', "out of memory"),
    "an error in an event of that name": (b'event: error\ndata: {"error": {"message": "busy"}}\n\n', "busy"),
    "a text called error": (b"event: error\ndata: the runner stopped\n\n", "the runner stopped"),
    "an error in the place of a stream": (b'{"error": {"message": "busy"}}', "busy"),
    "the same in lines": (b'{\n  "error": {\n    "message": "busy"\n  }\n}\n', "busy"),
    "a page": (b"<html><title>502 Bad Gateway</title></html>", "502 Bad Gateway"),
    "null": (b"null", "null"),
    "null in an event": (b"data: null\n\n", "null"),
    "a list": (b"data: [1]\n\n", r"\[1\]"),
    "an object without choices": (b'data: {"detail": "no such model"}\n\n', "no such model"),
    "choices of nulls": (b'data: {"choices": [null]}\n\n', "at choices.0"),
    "no JSON": (b'data: {"tool_calls" oops\n\n', "not JSON"),
    "no text": (b"data: \xff\xfe\n\n", "not JSON"),
}


@pytest.mark.parametrize(("data", "said"), NO_EVENTS.values(), ids=NO_EVENTS)
def test_no_reply_is_an_error_with_the_servers_words(data: bytes, said: str) -> None:
    for text in (data, events(SAY) + data):
        with pytest.raises(openai.APIError, match=said):
            read(mended(text + DONE if text.endswith(b"\n\n") else text))


class LongWay(RepairDecoder):
    """Without the short cut for a piece of text."""

    def _passes_text(self, index: int) -> bool:
        return False


STRANGE: list[Any] = [
    {"content": "Hi"},
    {"role": "assistant", "content": "Hi"},
    {"role": 7, "content": "Hi"},
    {"content": "Hi", "tool_calls": None},
    {"content": 7},
    {"content": None},
    {},
    None,
]
strange_chunks = st.fixed_dictionaries(
    {
        "choices": st.lists(
            st.fixed_dictionaries(
                {"delta": st.sampled_from(STRANGE)},
                optional={
                    "index": st.sampled_from([0, 0, 1, "0", None, True]),
                    "finish_reason": st.sampled_from([None, None, "stop", 7]),
                    "logprobs": st.sampled_from([None, {"content": None}, 7]),
                    "text": st.just("x"),
                },
            ),
            max_size=2,
        )
    },
    optional={
        "usage": st.sampled_from([None, {}, {"prompt_tokens": "1"}]),
        "error": st.sampled_from([None, "boom"]),
        "x": st.just(1),
    },
)


@given(st.lists(strange_chunks, max_size=4), st.sampled_from(["/chat/completions", "/completions"]))
def test_the_short_cut_is_the_long_way(chunks: list[Any], path: str) -> None:
    """A piece of text leaves as it does where everything is looked at and checked."""
    data = events(*chunks) + b"data: [DONE]\n\n"
    told = []
    for kind in (RepairDecoder, LongWay):
        repair = kind(CALL, shape=STREAMED[path])
        told.append([(one.json(), one.data) for one in (*repair.events(data), *repair.last_events())])
    assert told[0] == told[1]
