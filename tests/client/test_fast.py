"""The short cut of `_process_response_data` gives what the SDK's own field-by-field construction gives.

One difference is known and harmless: `model_fields_set` also names the extra fields, which dumps and `==` do not see.
"""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import openai
import pytest
from drivers import HTTPX
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel

from llm_adapter import OpenAI, Settings
from llm_adapter.client.event_decoder import RawEvent
from llm_adapter.client.quick_replies import DELTAS, FAST, strictly_validated
from llm_adapter.client.reply_fields import OllamaFigures

HTTP = HTTPX.Client(verify=False)
OURS = OpenAI(settings=Settings(), api_key="k", http_client=HTTP)
THEIRS = openai.OpenAI(api_key="k", http_client=HTTP)
RESPONSE: Any = HTTPX.Response(200)
EXTRA = "x_extra"
quickly = settings(max_examples=40)

# --- what servers send -----------------------------------------------------------------------------------------------

text = st.text(max_size=4)
number = st.integers(0, 9)
floating = st.one_of(st.integers(-5, 0), st.floats(-5, 0))
extra = st.one_of(text, number, st.none(), st.just({"deep": [1, {"a": None}]}))


def record(required: dict[str, Any], optional: dict[str, Any] | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """An object; what is optional may also be null, and a field may be there that OpenAI does not have."""
    nullable = {name: st.none() | values for name, values in (optional or {}).items()}
    return st.fixed_dictionaries(required, optional={**nullable, EXTRA: extra})


def reason(*others: str) -> st.SearchStrategy[str]:
    return st.sampled_from(["stop", "length", "content_filter", *others])


token = {"token": text, "logprob": floating}
octets = {"bytes": st.lists(number, max_size=2)}
logprob = record({**token, "top_logprobs": st.lists(record(token, octets), max_size=1)}, octets)
logprobs = record({}, {"content": st.lists(logprob, max_size=2), "refusal": st.lists(logprob, max_size=1)})
function = record({"name": text, "arguments": text})
tool_call = st.one_of(
    record({"id": text, "type": st.just("function"), "function": function}),
    record({"id": text, "type": st.just("custom"), "custom": record({"name": text, "input": text})}),
)
citation = record({"start_index": number, "end_index": number, "title": text, "url": text})
annotation = record({"type": st.just("url_citation"), "url_citation": citation})
message = record(
    {"role": st.just("assistant")},
    {
        "content": text,
        "refusal": text,
        "tool_calls": st.lists(tool_call, max_size=2),
        "annotations": st.lists(annotation, max_size=1),
        "reasoning": text,
        "reasoning_content": text,
    },
)
usage = record(
    {"prompt_tokens": number, "completion_tokens": number, "total_tokens": number},
    {
        "prompt_tokens_details": record({}, {"cached_tokens": number, "audio_tokens": number}),
        "completion_tokens_details": record({}, {"reasoning_tokens": number}),
    },
)
choice = record({"index": number, "finish_reason": reason("tool_calls"), "message": message}, {"logprobs": logprobs})
delta_call = record(
    {"index": number},
    {"id": text, "type": st.just("function"), "function": record({}, {"name": text, "arguments": text})},
)
delta = record(
    {},
    {
        "role": st.just("assistant"),
        "content": text,
        "refusal": text,
        "reasoning": text,
        "tool_calls": st.lists(delta_call, max_size=2),
    },
)
chunk_choice = record({"index": number, "delta": delta}, {"finish_reason": reason("tool_calls"), "logprobs": logprobs})
old_logprobs = record(
    {},
    {
        "tokens": st.lists(text, max_size=1),
        "token_logprobs": st.lists(floating, max_size=1),
        "text_offset": st.lists(number, max_size=1),
        "top_logprobs": st.lists(st.dictionaries(text, floating, max_size=1), max_size=1),
    },
)
text_choice = record({"index": number, "finish_reason": reason(), "text": text}, {"logprobs": old_logprobs})
about = {"id": text, "created": number, "model": text}
told = {"usage": usage, "system_fingerprint": text, "service_tier": st.sampled_from(["auto", "default", "flex"])}
completion = record(
    {**about, "object": st.just("chat.completion"), "choices": st.lists(choice, max_size=2)},
    told,
)
chunk = record(
    {**about, "object": st.just("chat.completion.chunk"), "choices": st.lists(chunk_choice, max_size=2)},
    told,
)
old_completion = record(
    {**about, "object": st.just("text_completion"), "choices": st.lists(text_choice, max_size=2)},
    {"usage": usage, "system_fingerprint": text},
)
vector = record({"object": st.just("embedding"), "index": number, "embedding": st.lists(floating, max_size=2)})
in_base64 = record({"object": st.just("embedding"), "index": number, "embedding": st.just("AACAPw==") | text})
embeddings = record(
    {
        "object": st.just("list"),
        "model": text,
        "data": st.lists(vector, max_size=2) | st.lists(in_base64, max_size=2),
        "usage": record({"prompt_tokens": number, "total_tokens": number}),
    }
)
state = st.sampled_from(["in_progress", "completed", "incomplete"])
cited = record(
    {"type": st.just("url_citation"), "start_index": number, "end_index": number, "title": text, "url": text}
)
told_token = record({**token, "bytes": st.lists(number, max_size=2)})
told_logprob = record(
    {**token, "bytes": st.lists(number, max_size=1), "top_logprobs": st.lists(told_token, max_size=1)}
)
said_text = record(
    {"type": st.just("output_text"), "text": text, "annotations": st.lists(cited, max_size=1)},
    {"logprobs": st.lists(told_logprob, max_size=1)},
)
refused = record({"type": st.just("refusal"), "refusal": text})
output = st.one_of(
    record(
        {
            "id": text,
            "type": st.just("message"),
            "role": st.just("assistant"),
            "status": state,
            "content": st.lists(said_text | refused, max_size=2),
        }
    ),
    record(
        {"type": st.just("function_call"), "call_id": text, "name": text, "arguments": text},
        {"id": text, "status": state},
    ),
    record({"type": st.just("custom_tool_call"), "call_id": text, "name": text, "input": text}, {"id": text}),
    record(
        {
            "id": text,
            "type": st.just("reasoning"),
            "summary": st.lists(record({"type": st.just("summary_text"), "text": text}), max_size=1),
        },
        {
            "content": st.lists(record({"type": st.just("reasoning_text"), "text": text}), max_size=1),
            "encrypted_content": text,
            "status": state,
        },
    ),
)
spent = record(
    {
        "input_tokens": number,
        "input_tokens_details": record({"cached_tokens": number, "cache_write_tokens": number}),
        "output_tokens": number,
        "output_tokens_details": record({"reasoning_tokens": number}),
        "total_tokens": number,
    }
)
function_tool = record(
    {"type": st.just("function"), "name": text, "parameters": st.just({"type": "object"}), "strict": st.booleans()},
    {"description": text},
)
form = st.one_of(
    record({"type": st.just("text")}),
    record({"type": st.just("json_object")}),
    record(
        {"type": st.just("json_schema"), "name": text, "schema": st.just({"type": "object"})}, {"strict": st.booleans()}
    ),
)
response = record(
    {
        "id": text,
        "object": st.just("response"),
        "created_at": number | st.floats(0, 9),
        "model": text,
        "output": st.lists(output, max_size=3),
        "parallel_tool_calls": st.booleans(),
        "tool_choice": st.sampled_from(["auto", "none", {"type": "function", "name": "f"}]),
        "tools": st.lists(function_tool, max_size=1),
    },
    {
        "status": state,
        "error": record({"code": st.just("server_error"), "message": text}),
        "incomplete_details": record({}, {"reason": st.sampled_from(["max_output_tokens", "content_filter"])}),
        "instructions": text,
        "metadata": st.dictionaries(text, text, max_size=1),
        "temperature": floating,
        "top_p": floating,
        "text": record({}, {"format": form}),
        "reasoning": record({}, {"effort": st.sampled_from(["low", "high"])}),
        "usage": spent,
        "truncation": st.sampled_from(["auto", "disabled"]),
        "service_tier": st.sampled_from(["auto", "default"]),
        "top_logprobs": number,
        "previous_response_id": text,
    },
)
PAYLOADS: dict[Any, Any] = {
    Response: response,
    ChatCompletion: completion,
    ChatCompletionChunk: chunk,
    Completion: old_completion,
    CreateEmbeddingResponse: embeddings,
}
kinds = pytest.mark.parametrize("kind", PAYLOADS, ids=lambda kind: kind.__name__)


# --- the comparison --------------------------------------------------------------------------------------------------


def processed(client: Any, data: Any, kind: Any) -> Any:
    """What the client makes of a reply, or the error that it raises."""
    try:
        return client._process_response_data(data=copy.deepcopy(data), cast_to=kind, response=RESPONSE)
    except Exception as error:
        return type(error), str(error)


def types(value: Any) -> Any:
    """The classes of an object's parts, all the way down."""
    if isinstance(value, BaseModel):
        return type(value), {name: types(part) for name, part in (*value, *(value.model_extra or {}).items())}
    if isinstance(value, (list, tuple)):
        return type(value), [types(part) for part in value]
    if isinstance(value, dict):
        return type(value), {name: types(part) for name, part in value.items()}
    return type(value)


def without_extras(value: Any) -> Any:
    """`model_fields_set` of all parts, but for the names of extra fields."""
    if isinstance(value, BaseModel):
        own = value.model_fields_set - (value.model_extra or {}).keys()
        return own, [without_extras(part) for _, part in value]
    return [without_extras(part) for part in value] if isinstance(value, list) else None


def same(data: Any, kind: Any) -> Any:
    """Hold our object against the SDK's; ours."""
    ours, theirs = processed(OURS, data, kind), processed(THEIRS, data, kind)
    assert ours == theirs
    assert types(ours) == types(theirs)
    if isinstance(theirs, BaseModel):
        assert repr(ours) == repr(theirs)
        assert without_extras(ours) == without_extras(theirs)
        for mode in ("json", "python"):
            for unset in (True, False):
                dumps = [one.model_dump(mode=mode, exclude_unset=unset, warnings=False) for one in (ours, theirs)]
                assert json.dumps(dumps[0]) == json.dumps(dumps[1])
        assert ours.model_dump_json(warnings=False) == theirs.model_dump_json(warnings=False)
        assert ours.to_json(warnings=False) == theirs.to_json(warnings=False)
        assert pickle.loads(pickle.dumps(ours)) == theirs
    return ours


def validates(data: Any, kind: Any) -> bool:
    """Whether the short cut takes it."""
    return strictly_validated(data, kind) is not None


def test_all_short_cuts_are_tested() -> None:
    assert PAYLOADS.keys() == FAST


@kinds
@quickly
@given(data=st.data())
def test_valid_replies(kind: Any, data: st.DataObject) -> None:
    """Nulls, extra fields, whole numbers for floats, tool calls, logprobs."""
    payload = data.draw(PAYLOADS[kind])
    assert validates(payload, kind)
    same(payload, kind)


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-1, 2), st.sampled_from([1.0, 2.5, "", "unheard of", "1", [], [None], {}])
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every part of a reply, as its container and its key."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, part in inside for place in ((value, key), *places(part))]


@kinds
@quickly
@given(data=st.data())
def test_odd_replies(kind: Any, data: st.DataObject) -> None:
    """Replies with a few parts missing or of another type: what is not sound goes the SDK's own way."""
    payload = copy.deepcopy(data.draw(PAYLOADS[kind]))  # strategies hand out the same lists again
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(payload)))
        if data.draw(st.booleans()):
            container[key] = copy.deepcopy(data.draw(ODD))
        else:
            del container[key]
    same(payload, kind)


@kinds
@pytest.mark.parametrize("payload", [{}, [], None, "text", 7, {"choices": None}, {"choices": [None]}], ids=repr)
def test_replies_of_another_shape(kind: Any, payload: Any) -> None:
    same(payload, kind)


# --- what is taken, and what is not ----------------------------------------------------------------------------------

PLAIN: dict[str, Any] = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
}
CHOICE = PLAIN["choices"][0]
UNSOUND = {
    "an unknown reason": {"choices": [{**CHOICE, "finish_reason": "load"}]},
    "an unknown tool": {"choices": [{**CHOICE, "message": {"role": "assistant", "tool_calls": [{"type": "new"}]}}]},
    "another object": {"object": "chat.completion.local"},
    "a float for a whole number": {"created": 1.0},
    "a null where none may be": {"model": None},
    "text for a number": {"created": "1"},
}


@pytest.mark.parametrize("change", UNSOUND.values(), ids=UNSOUND)
def test_unsound_replies_fall_back(change: dict[str, Any]) -> None:
    """The SDK is lenient with them, and so are we."""
    payload = {**PLAIN, **change}
    assert not validates(payload, ChatCompletion)
    assert isinstance(same(payload, ChatCompletion), ChatCompletion)


def test_a_missing_field_falls_back() -> None:
    payload = {name: value for name, value in PLAIN.items() if name != "created"}
    assert not validates(payload, ChatCompletion)
    assert same(payload, ChatCompletion).created is None


def test_the_one_difference() -> None:
    """Documented in the module: extra fields are named in `model_fields_set`."""
    payload = {**PLAIN, "ours": 1}
    ours, theirs = (processed(client, payload, ChatCompletion) for client in (OURS, THEIRS))
    assert ours.model_fields_set - theirs.model_fields_set == {"ours"}


def test_the_short_cut_is_taken() -> None:
    """The difference above shows it; without it a stream would cost four times as much."""
    assert "ours" in processed(OURS, {**PLAIN, "ours": 1}, ChatCompletion).model_fields_set


def test_ollamas_figures_have_attributes() -> None:
    """The one extra field of ours that is made an object, on both ways."""
    for change in ({}, UNSOUND["an unknown reason"]):
        reply = processed(OURS, {**PLAIN, **change, "ollama": {"eval_count": 3, "new": 1}}, ChatCompletion)
        assert isinstance(reply.ollama, OllamaFigures)
        assert (reply.ollama.eval_count, reply.ollama.load_duration, reply.ollama.new) == (3, None, 1)


@pytest.mark.parametrize("kind", [ChatCompletionChunk, Completion])
@quickly
@given(data=st.data())
def test_chunks_out_of_their_bytes(kind: Any, data: st.DataObject) -> None:
    """A chunk that is validated as it is parsed is the chunk that the SDK makes of the parsed JSON."""
    payload = copy.deepcopy(data.draw(PAYLOADS[kind]))
    for _ in range(data.draw(st.integers(0, 2))):
        container, key = data.draw(st.sampled_from(places(payload)))
        container[key] = copy.deepcopy(data.draw(ODD))
    ours = RawEvent(json.dumps(payload).encode()).validated(kind.__pydantic_validator__)
    if ours is not None:
        theirs = processed(THEIRS, payload, kind)
        assert (ours, types(ours), repr(ours)) == (theirs, types(theirs), repr(theirs))


counts = {"sequence_number": number, "output_index": number, "item_id": text, "delta": text}
DELTA_PAYLOADS = {
    "response.output_text.delta": {
        **counts,
        "content_index": number,
        "logprobs": st.lists(record(token, {"top_logprobs": st.lists(record({}, token), max_size=1)}), max_size=1),
    },
    "response.function_call_arguments.delta": counts,
    "response.reasoning_summary_text.delta": {**counts, "summary_index": number},
}


def test_all_events_with_a_short_cut_are_tested() -> None:
    assert DELTA_PAYLOADS.keys() == DELTAS.keys()


@pytest.mark.parametrize("name", DELTA_PAYLOADS)
@quickly
@given(data=st.data())
def test_events_of_a_response(name: str, data: st.DataObject) -> None:
    """Sound ones, for which the short cut is taken, and odd ones."""
    payload = copy.deepcopy(data.draw(record({"type": st.just(name), **DELTA_PAYLOADS[name]})))
    assert strictly_validated(payload, ResponseStreamEvent) is not None
    same(payload, ResponseStreamEvent)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from(places(payload)))
        container[key] = copy.deepcopy(data.draw(ODD))
    same(payload, ResponseStreamEvent)
